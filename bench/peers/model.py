"""Birkhoff's model as a PyTorch user would write it: modules, library functions, streams in bf16 or
fp32, coefficients in fp32. Nothing is tuned for one machine, except what is known to matter on
every CPU; settings.py has what users try.

Parameters have Birkhoff's canonical names, except that experts may be stacked.
"""
import torch
from torch import nn
import torch.nn.functional as F


class Shape:
    """The values of model.… and moe.… in an effective config, as numbers."""

    FLOATS = ("rope_theta", "norm_eps", "kv_norm_eps", "scaling", "bias_speed")

    def __init__(self, config):
        for section in ("model", "moe"):
            for key, value in config[section].items():
                # YAML 1.1 reads 1e-20 as text.
                setattr(self, key, float(value) if key in self.FLOATS else value)
        if self.residual not in ("plain", "mhc") or (self.residual == "mhc" and (
                self.sinkhorn != "paper" or self.readout != "sum")):
            raise SystemExit("bench/peers only supports residual plain, and mhc with sinkhorn "
                             "paper and readout sum")
        if self.q_rank or self.rope_scaling != "none" or self.groups != 1:
            raise SystemExit("bench/peers supports neither q_rank nor rope_scaling nor groups of "
                             "experts")


class Norm(nn.RMSNorm):
    """The gain may be fp32 where x is not."""

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def rotation(s, sequence):
    """cos and sin, [S, rope_dim / 2]."""
    exponent = torch.arange(0, s.rope_dim, 2, dtype=torch.float64) / s.rope_dim
    angle = torch.arange(sequence, dtype=torch.float64).outer(s.rope_theta ** -exponent)
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """x [B, S, H, D]: rotates pairs of neighbours."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    y = torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1)
    return y.flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """Multi-head latent attention, arXiv 2405.04434."""

    def __init__(self, s):
        super().__init__()
        self.s = s
        self.q_proj = linear(s.dim, s.heads * (s.nope_dim + s.rope_dim))
        self.kv_a_proj_with_mqa = linear(s.dim, s.kv_rank + s.rope_dim)
        self.kv_a_layernorm = Norm(s.kv_rank, eps=s.kv_norm_eps)
        self.kv_b_proj = linear(s.kv_rank, s.heads * (s.nope_dim + s.v_dim))
        self.o_proj = linear(s.heads * s.v_dim, s.dim)

    def forward(self, x, cos, sin):
        s = self.s
        q = self.q_proj(x).unflatten(-1, (s.heads, -1))
        q_nope, q_rope = q.split([s.nope_dim, s.rope_dim], -1)
        latent, k_rope = self.kv_a_proj_with_mqa(x).split([s.kv_rank, s.rope_dim], -1)
        kv = self.kv_b_proj(self.kv_a_layernorm(latent)).unflatten(-1, (s.heads, -1))
        k_nope, v = kv.split([s.nope_dim, s.v_dim], -1)
        k_rope = rotate(k_rope.unsqueeze(2), cos, sin).expand(-1, -1, s.heads, -1)
        q = torch.cat([q_nope, rotate(q_rope, cos, sin)], -1).transpose(1, 2)
        k = torch.cat([k_nope, k_rope], -1).transpose(1, 2)
        # The fused kernel needs equal widths of q, k and v; DeepSeek's own code pads them too.
        v = F.pad(v.transpose(1, 2), (0, s.nope_dim + s.rope_dim - s.v_dim))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)[..., :s.v_dim]
        return self.o_proj(o.transpose(1, 2).flatten(-2))


class FFN(nn.Module):
    def __init__(self, dim, width):
        super().__init__()
        self.gate_proj, self.up_proj = linear(dim, width), linear(dim, width)
        self.down_proj = linear(width, dim)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LoopedExperts(nn.ModuleList):
    """Experts run one after the other, as in transformers."""

    def __init__(self, s):
        super().__init__(FFN(s.dim, s.expert_dim) for _ in range(s.experts))

    def forward(self, x, weight, chosen, load):
        y = torch.zeros_like(x)
        for e, expert in enumerate(self):
            token, place = torch.where(chosen == e)
            out = expert(x.index_select(0, token)) * weight[token, place].unsqueeze(1)
            y.index_add_(0, token, out.to(y.dtype))
        return y


class GroupedExperts(nn.Module):
    """Sorts tokens by expert, so that one grouped product covers all experts, as in torchtitan."""

    def __init__(self, s):
        super().__init__()
        self.active = s.active
        self.gate_up = nn.Parameter(torch.empty(s.experts, 2 * s.expert_dim, s.dim))
        self.down = nn.Parameter(torch.empty(s.experts, s.dim, s.expert_dim))

    def forward(self, x, weight, chosen, load):
        order = chosen.flatten().argsort(stable=True)
        token = order // self.active
        ends = load.cumsum(0).to(torch.int32)

        def product(h, w):
            return F.grouped_mm(h, w.to(h.dtype).transpose(1, 2), offs=ends)

        gate, up = product(x[token], self.gate_up).chunk(2, -1)
        out = product(F.silu(gate) * up, self.down) * weight.flatten()[order].unsqueeze(1)
        return torch.zeros_like(x).index_add(0, token, out.to(x.dtype))


EXPERTS = {"loop": LoopedExperts, "grouped": GroupedExperts}


class Gate(nn.Module):
    """arXiv 2412.19437 eq. 12-16, in fp32: the bias affects only the choice."""

    def __init__(self, s):
        super().__init__()
        self.s = s
        self.weight = nn.Parameter(torch.empty(s.experts, s.dim))
        self.register_buffer("e_score_correction_bias", torch.zeros(s.experts))

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            score = F.linear(x.float(), self.weight).sigmoid()
        chosen = (score.detach() + self.e_score_correction_bias).topk(self.s.active, -1)[1]
        weight = score.gather(-1, chosen)
        if self.s.normalise:
            weight = weight / weight.sum(-1, keepdim=True)
        return weight * self.s.scaling, chosen


class MoE(nn.Module):
    def __init__(self, s, experts):
        super().__init__()
        self.gate = Gate(s)
        self.experts = EXPERTS[experts](s)
        self.shared_experts = FFN(s.dim, s.shared * s.expert_dim) if s.shared else None
        self.register_buffer("load", torch.zeros(s.experts, dtype=torch.int64), persistent=False)

    def forward(self, x):
        flat = x.flatten(0, -2)
        weight, chosen = self.gate(flat)
        ids = torch.arange(len(self.load))
        self.load.copy_((chosen.flatten() == ids.unsqueeze(1)).sum(1))
        y = self.experts(flat, weight, chosen, self.load)
        if self.shared_experts is not None:
            y = y + self.shared_experts(flat)
        return y.view_as(x)

    @torch.no_grad()
    def balance(self, speed):
        """Loss-free balancing, arXiv 2408.15664."""
        mean = self.load.sum() / len(self.load)
        self.gate.e_score_correction_bias += speed * torch.sign(mean - self.load)


def sinkhorn(logits, iterations):
    m = logits - logits.logsumexp(-2, keepdim=True)
    m = torch.softmax(m, -1)
    for _ in range(iterations - 1):
        m = m / m.sum(-2, keepdim=True)
        m = m / m.sum(-1, keepdim=True)
    return m


def read_by_matmul(x, pre):
    return (pre.unsqueeze(-2) @ x.float()).squeeze(-2).to(x.dtype)


def write_by_matmul(x, f, post, res):
    return (res @ x.float() + post.unsqueeze(-1) * f.float().unsqueeze(-2)).to(x.dtype)


def read_by_broadcast(x, pre):
    return (pre.unsqueeze(-1) * x.float()).sum(-2).to(x.dtype)


def write_by_broadcast(x, f, post, res):
    mixed = (res.unsqueeze(-1) * x.float().unsqueeze(-3)).sum(-2)
    return (mixed + post.unsqueeze(-1) * f.float().unsqueeze(-2)).to(x.dtype)


def read_unrolled(x, pre):
    streams = enumerate(x.float().unbind(-2))
    return sum(pre[..., i, None] * stream for i, stream in streams).to(x.dtype)


def write_unrolled(x, f, post, res):
    streams, f = x.float().unbind(-2), f.float()
    rows = [sum(res[..., i, j, None] * stream for j, stream in enumerate(streams)) +
            post[..., i, None] * f for i in range(len(streams))]
    return torch.stack([row.to(x.dtype) for row in rows], -2)


# Which of these is fast depends on whether it is compiled, so settings choose. Coefficients stay
# fp32: rounded to bf16, the rows of H_res would sum to 1 ± 2⁻⁹, which changes the loss of a model
# of eight layers.
MIX = {"matmul": (read_by_matmul, write_by_matmul),
       "broadcast": (read_by_broadcast, write_by_broadcast),
       "unrolled": (read_unrolled, write_unrolled)}


class HyperConnection(nn.Module):
    """mHC, arXiv 2512.24880 eq. 7-9, on x [..., n, C]."""

    def __init__(self, streams, dim, eps, iterations, mix):
        super().__init__()
        n = streams
        self.n, self.eps, self.iterations = n, eps, iterations
        self.read, self.write = MIX[mix]
        self.phi = nn.Parameter(torch.zeros(n * dim, n * n + 2 * n))
        self.alpha = nn.Parameter(torch.ones(3))
        self.b_pre, self.b_post = nn.Parameter(torch.zeros(n)), nn.Parameter(torch.zeros(n))
        self.b_res = nn.Parameter(torch.zeros(n, n))

    def open(self, x):
        """Returns the sublayer's input, and what close() needs."""
        n = self.n
        with torch.autocast("cpu", enabled=False):
            v = x.flatten(-2).float()
            u = (v @ self.phi) * torch.rsqrt(v.square().mean(-1, keepdim=True) + self.eps)
            pre, post, res = u.split([n, n, n * n], -1)
            pre = torch.sigmoid(self.alpha[0] * pre + self.b_pre)
            post = 2 * torch.sigmoid(self.alpha[1] * post + self.b_post)
            res = sinkhorn(self.alpha[2] * res.unflatten(-1, (n, n)) + self.b_res,
                           self.iterations)
            return self.read(x, pre), post, res

    def close(self, x, f, post, res):
        with torch.autocast("cpu", enabled=False):
            return self.write(x, f.to(x.dtype), post, res)


class Block(nn.Module):
    def __init__(self, s, layer, experts, mix):
        super().__init__()
        self.input_layernorm = Norm(s.dim, eps=s.norm_eps)
        self.post_attention_layernorm = Norm(s.dim, eps=s.norm_eps)
        self.self_attn = Attention(s)
        self.mlp = FFN(s.dim, s.dense_ffn_dim) if layer < s.dense_layers else MoE(s, experts)
        self.streams = s.residual == "mhc"
        if self.streams:
            size = s.streams, s.dim, s.norm_eps, s.sinkhorn_iterations
            self.attn_hc = HyperConnection(*size, mix)
            self.ffn_hc = HyperConnection(*size, mix)

    def forward(self, x, cos, sin):
        if not self.streams:
            x = x + self.self_attn(self.input_layernorm(x), cos, sin).to(x.dtype)
            return x + self.mlp(self.post_attention_layernorm(x)).to(x.dtype)
        h, post, res = self.attn_hc.open(x)
        f = self.self_attn(self.input_layernorm(h), cos, sin)
        x = self.attn_hc.close(x, f, post, res)
        h, post, res = self.ffn_hc.open(x)
        f = self.mlp(self.post_attention_layernorm(h))
        return self.ffn_hc.close(x, f, post, res)


class Body(nn.Module):
    def __init__(self, s, experts, mix):
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocab, s.dim)
        self.layers = nn.ModuleList(Block(s, layer, experts, mix) for layer in range(s.layers))
        self.norm = Norm(s.dim, eps=s.norm_eps)


class Model(nn.Module):
    def __init__(self, s, experts, mix, sequence):
        super().__init__()
        self.s = s
        self.model = Body(s, experts, mix)
        self.lm_head = linear(s.dim, s.vocab)
        cos, sin = rotation(s, sequence)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, token, target, dtype):
        """The mean loss; streams are stored as `dtype`."""
        x = self.model.embed_tokens(token).to(dtype)
        if self.s.residual == "mhc":
            x = x.unsqueeze(-2).expand(*x.shape[:-1], self.s.streams, self.s.dim).contiguous()
        for block in self.model.layers:
            x = block(x, self.cos, self.sin)
        if self.s.residual == "mhc":
            x = x.sum(-2)
        return self.loss(x, target)

    def loss(self, x, target):
        logits = self.lm_head(self.model.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), target.flatten())

    def routed(self):
        return [module for module in self.modules() if isinstance(module, MoE)]

    def balance(self):
        for module in self.routed():
            module.balance(self.s.bias_speed)

    def largest_load(self):
        """The largest load of an expert in the last step, relative to an even share."""
        return max((m.load.max() * len(m.load) / m.load.sum()).item() for m in self.routed())


def load(model, tensors):
    """Loads Birkhoff's tensors by canonical name; every one must belong to a parameter."""
    tensors = dict(tensors)
    for name, module in model.named_modules():
        if isinstance(module, GroupedExperts):
            def take(leaf, name=name):
                return torch.stack([tensors.pop(f"{name}.{e}.{leaf}_proj.weight")
                                    for e in range(model.s.experts)])
            tensors[name + ".gate_up"] = torch.cat([take("gate"), take("up")], 1)
            tensors[name + ".down"] = take("down")
    model.load_state_dict(tensors)


def keeps_fp32(name):
    """Whether it stays fp32 when weights are bf16: gains, router, parameters of the residual."""
    return "norm" in name or "_hc." in name or ".mlp.gate." in name


def decays(name):
    """Whether it has weight decay, as in Birkhoff's groups."""
    leaf = name.rsplit(".", 1)[-1]
    return "norm" not in name and leaf != "alpha" and not leaf.startswith("b_")
