"""The residuals from their papers' equations, on a token's state x [..., n, C] (plain: [..., C]).

Each returns (h, close): h is the sublayer's input, close(f) the next state.

Places where Birkhoff stores bf16 are marked (storage.py). f is already rounded, and the gradient of
x for all its readers is written here.
"""
import torch

from storage import read, rounded, stored


def plain(p, name, x, s):
    x = read(x)
    return x, lambda f: rounded(x + f)


def mhc(p, name, x, s):
    """arXiv 2512.24880, eq. 7-9; s.sinkhorn == "v4": arXiv 2606.19348."""
    x = read(x)
    bias = torch.cat([p[name + ".b_pre"], p[name + ".b_post"], p[name + ".b_res"].flatten()])
    h, post, res = coefficients(x, p[name + ".phi"], p[name + ".alpha"], bias, s.norm_eps,
                                s.sinkhorn, s.sinkhorn_iterations)
    return stored(h), lambda f: rounded(mix(x, post, res, read(f)))


def mix(x, post, res, f):
    return res @ x + post.unsqueeze(-1) * f.unsqueeze(-2)


def coefficients(x, phi, alpha, b, eps, form, iterations):
    """phi [nC, n² + 2n], alpha [3], b [n² + 2n] → h, post [..., n], res [..., n, n]."""
    n = x.shape[-2]
    v = x.flatten(-2)
    rho = torch.rsqrt((v * v).mean(-1, keepdim=True) + eps)
    u = rho * (v @ phi)
    pre = alpha[0] * u[..., :n] + b[:n]
    post = alpha[1] * u[..., n:2 * n] + b[n:2 * n]
    res = (alpha[2] * u[..., 2 * n:] + b[2 * n:]).unflatten(-1, (n, n))
    pre, post = torch.sigmoid(pre), 2 * torch.sigmoid(post)
    if form == "v4":
        pre = pre + 1e-6
    h = (pre.unsqueeze(-1) * x).sum(-2)
    return h, post, {"paper": sinkhorn, "v4": sinkhorn_v4}[form](res, iterations)


def sinkhorn(logits, iterations):
    """Normalises columns, then rows, of exp(logits). The first pair subtracts logarithms instead,
    which is the same function: exp(logits) by itself would overflow at 710."""
    logits = logits - logits.logsumexp(-2, keepdim=True)
    m = (logits - logits.logsumexp(-1, keepdim=True)).exp()
    for _ in range(iterations - 1):
        m = m / m.sum(-2, keepdim=True)
        m = m / m.sum(-1, keepdim=True)
    return m


def sinkhorn_v4(logits, iterations, eps=1e-6):
    """The same in DeepSeek-V4's form, whose matrix is comb[j, i] = res[i, j]."""
    comb = torch.softmax(logits.transpose(-1, -2), -1) + eps
    comb = comb / (comb.sum(-2, keepdim=True) + eps)
    for _ in range(iterations - 1):
        comb = comb / (comb.sum(-1, keepdim=True) + eps)
        comb = comb / (comb.sum(-2, keepdim=True) + eps)
    return comb.transpose(-1, -2)


def hc(p, name, x, s):
    """Hyper-connections (arXiv 2409.19606; as written in arXiv 2512.24880 eq. 5): each stream has
    its own norm, there is a tanh and no manifold. The static form has only the constants."""
    x = read(x)
    pre, post, res = p[name + ".b_pre"], p[name + ".b_post"], p[name + ".b_res"]
    if s.hc == "dynamic":
        normed = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + s.norm_eps)
        alpha = p[name + ".alpha"]
        pre = pre + alpha[0] * torch.tanh(normed @ p[name + ".theta_pre"])
        post = post + alpha[1] * torch.tanh(normed @ p[name + ".theta_post"])
        # res[i, j] = <theta_res_i, stream j>
        res = res + alpha[2] * torch.tanh(p[name + ".theta_res"] @ normed.transpose(-1, -2))
    h = (pre.unsqueeze(-1) * x).sum(-2)
    return stored(h), lambda f: rounded(mix(x, post, res, read(f)))


def learned_readout(p, x, eps):
    """DeepSeek-V4's head (arXiv 2606.19348)."""
    x = read(x)
    v = x.flatten(-2)
    u = torch.rsqrt((v * v).mean(-1, keepdim=True) + eps) * (v @ p["model.readout.w"])
    weight = torch.sigmoid(p["model.readout.scale"] * u + p["model.readout.base"]) + 1e-6
    return (weight.unsqueeze(-1) * x).sum(-2)


OPEN = {"plain": plain, "mhc": mhc, "hc": hc}
