"""The whole model in plain PyTorch, from the equations, in whatever dtype its parameters have.

Nothing here is fast, and nothing is shared with Birkhoff except the names of the tensors and the
places where it stores bf16 (storage.py).
"""
import math

import torch

import residuals
from storage import attended, read, rounded, stored


def forward(p, token, s):
    """Maps p by canonical name and token [B, S] to logits [B, S, V], and for every MoE layer to the
    numbers by which experts are chosen, [B, S, E]."""
    x = rounded(p["model.embed_tokens.weight"][token.long()])
    streams = s.residual != "plain"
    if streams:
        x = read(x).unsqueeze(-2).expand(*x.shape[:-1], s.streams, s.dim)
    routing = []
    for layer in range(s.layers):
        block = f"model.layers.{layer}."

        def ffn(h, layer=layer, block=block):
            if layer < s.dense_layers:
                return swiglu(p, block + "mlp", h)
            return moe(p, block + "mlp", h, s, routing)

        x = sublayer(p, block + "attn_hc", block + "input_layernorm.weight", x, s,
                     lambda h, block=block: attention(p, block + "self_attn", h, s))
        x = sublayer(p, block + "ffn_hc", block + "post_attention_layernorm.weight", x, s, ffn)
    if streams:
        x = rounded(residuals.learned_readout(p, x, s.norm_eps) if s.readout == "learned"
                    else x.sum(-2))
    y = stored(norm(read(x), p["model.norm.weight"], s.norm_eps))
    return read(y @ rounded(p["lm_head.weight"]).T), routing


def mean_loss(logits, target):
    """Mean of −log p(target) over the targets that count."""
    logits, target = logits.flatten(0, -2), target.flatten().long()
    chosen = logits.gather(1, target.clamp(min=0).unsqueeze(1)).squeeze(1)
    nll = logits.logsumexp(1) - chosen
    counted = target >= 0
    return (nll * counted).sum() * (1.0 / int(counted.sum()))


def sublayer(p, name, gain, x, s, f):
    h, close = residuals.OPEN[s.residual](p, name, x, s)
    return close(rounded(f(stored(norm(h, p[gain], s.norm_eps)))))


def norm(x, gain, eps):
    """arXiv 1910.07467."""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * gain


def linear(p, name, x):
    return x @ rounded(p[name + ".weight"]).T


def swiglu(p, name, x):
    gate = stored(linear(p, name + ".gate_proj", x))
    up = stored(linear(p, name + ".up_proj", x))
    return linear(p, name + ".down_proj", stored(gate * torch.sigmoid(gate) * up))


def grown(s, weight):
    """yarn's scaling of sizes for a longer context, arXiv 2309.00071 §3.4."""
    return 1.0 + 0.1 * weight * math.log(s.rope_factor)


def turns(s, dtype):
    """The angle per position of each pair, theta^(−2i/D) (arXiv 2104.09864). yarn (arXiv 2309.00071
    §3.2) slows down pairs that make few turns in the original context."""
    exponent = torch.arange(0, s.rope_dim, 2, dtype=dtype) / s.rope_dim
    frequency = torch.exp(-math.log(s.rope_theta) * exponent)
    if s.rope_scaling == "none":
        return frequency

    def pair(count):
        wavelength = s.rope_original_positions / (2 * math.pi * count)
        return s.rope_dim / 2 * math.log(wavelength) / math.log(s.rope_theta)

    low, high = pair(s.rope_beta_fast), pair(s.rope_beta_slow)
    if s.rope_truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, s.rope_dim - 1)
    if low == high:
        high += 0.001
    slowed = ((torch.arange(s.rope_dim // 2, dtype=dtype) - low) / (high - low)).clamp(0, 1)
    return frequency - frequency * slowed + frequency / s.rope_factor * slowed


def rotated_size(s):
    """The factor of rotated features."""
    if s.rope_scaling == "none":
        return 1.0
    if s.rope_attention_factor:
        return s.rope_attention_factor
    if s.rope_mscale and s.rope_mscale_all_dim:
        return grown(s, s.rope_mscale) / grown(s, s.rope_mscale_all_dim)
    return grown(s, 1)


def attention_scale(s):
    scale = 1.0 / math.sqrt(s.nope_dim + s.rope_dim)
    if s.rope_scaling == "none" or not s.rope_mscale_all_dim:
        return scale
    return scale * grown(s, s.rope_mscale_all_dim) ** 2


def rotate(x, s):
    """Rotates x [B, S, H, D] in pairs of neighbours."""
    sequence = x.shape[1]
    angle = torch.arange(sequence, dtype=x.dtype).unsqueeze(1) * turns(s, x.dtype)  # [S, D/2]
    cos, sin = angle.cos().unsqueeze(1), angle.sin().unsqueeze(1)
    if rotated_size(s) != 1.0:
        cos, sin = cos * rotated_size(s), sin * rotated_size(s)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def attention(p, name, x, s):
    """Multi-head latent attention (arXiv 2405.04434 §2.1), causal."""
    batch, sequence, _ = x.shape
    if s.q_rank:
        latent = stored(linear(p, name + ".q_a_proj", x))
        latent = stored(norm(latent, p[name + ".q_a_layernorm.weight"], s.kv_norm_eps))
        q = stored(linear(p, name + ".q_b_proj", latent))
    else:
        q = stored(linear(p, name + ".q_proj", x))
    q = q.unflatten(-1, (s.heads, -1))
    q_nope, q_rope = q.split([s.nope_dim, s.rope_dim], -1)
    latent, k_rope = stored(linear(p, name + ".kv_a_proj_with_mqa", read(x))).split(
        [s.kv_rank, s.rope_dim], -1)
    latent = stored(norm(latent, p[name + ".kv_a_layernorm.weight"], s.kv_norm_eps))
    kv = stored(linear(p, name + ".kv_b_proj", latent)).unflatten(-1, (s.heads, -1))
    k_nope, v = kv.split([s.nope_dim, s.v_dim], -1)
    k_rope = stored(rotate(k_rope.unsqueeze(2), s))
    k_rope = read(k_rope.expand(-1, -1, s.heads, -1))
    q = torch.cat([q_nope, stored(rotate(q_rope, s))], -1).transpose(1, 2)
    k = torch.cat([k_nope, k_rope], -1).transpose(1, 2)
    scores = q @ k.transpose(-1, -2) * attention_scale(s)
    future = torch.ones(sequence, sequence, dtype=torch.bool).triu(1)
    scores = scores.masked_fill(future, -math.inf)
    o = attended(softmax(scores) @ v.transpose(1, 2), scores.logsumexp(-1, keepdim=True))
    return linear(p, name + ".o_proj", read(o.transpose(1, 2).flatten(-2)))


def softmax(x):
    e = (x - x.detach().amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def in_kept_groups(choice, s):
    """The numbers by which experts are chosen. Experts of rejected groups, whose best two have too
    small a sum, get a number out of reach that shows if rounding changes which groups these are."""
    grouped = choice.unflatten(-1, (s.groups, -1))
    best = grouped.sort(-1, descending=True)[0][..., :2].sum(-1)
    kept = best.sort(-1, descending=True)[1][..., :s.active_groups]
    left = torch.stack([(kept == g).sum(-1) for g in range(s.groups)], -1) == 0
    return grouped.masked_fill(left.unsqueeze(-1), -1e9).flatten(-2)


def moe(p, name, x, s, routing):
    """arXiv 2412.19437 eq. 12-16; the bias affects only the choice.

    x has three readers, so its gradient is written three times: as the shared expert's part, with
    the routed experts' part added, and as the whole sum."""
    score = torch.sigmoid(x @ p[name + ".gate.weight"].T)
    with torch.no_grad():
        choice = score + p[name + ".gate.e_score_correction_bias"]
        if s.groups > 1:
            choice = in_kept_groups(choice, s)
        chosen = choice.sort(-1, descending=True)[1][..., :s.active]
        routing.append(choice)
    weight = score.gather(-1, chosen)
    if s.normalise:
        weight = weight / weight.sum(-1, keepdim=True)
    weight = weight * s.scaling
    x = read(x)
    y = 0
    for e in range(s.experts):
        share = (weight * (chosen == e)).sum(-1, keepdim=True)  # 0 where e was not chosen
        y = y + share * stored(swiglu(p, f"{name}.experts.{e}", read(x)))
    return rounded(y) + swiglu(p, name + ".shared_experts", read(x)) if s.shared else y
