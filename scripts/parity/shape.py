"""The shape of a model: Birkhoff's config keys, canonical tensor names, and random values."""
import dataclasses
import zlib

import torch

BIAS = "mlp.gate.e_score_correction_bias"

# Means of hc's random values. If the weights of h cancelled, F's norm would amplify rounding.
HC_STATIC = {"b_pre": torch.ones, "b_post": torch.ones, "b_res": torch.eye}


@dataclasses.dataclass(frozen=True)
class Shape:
    """Fields are the keys of model.… and moe.…; their defaults are a small model."""
    vocab: int = 29
    dim: int = 12
    layers: int = 3
    dense_layers: int = 1
    heads: int = 2
    nope_dim: int = 4
    rope_dim: int = 4
    v_dim: int = 5
    kv_rank: int = 6
    q_rank: int = 0
    rope_theta: float = 10000.0
    rope_scaling: str = "none"  # or yarn, with the following keys
    rope_factor: float = 1.0
    rope_original_positions: int = 4096
    rope_beta_fast: float = 32.0
    rope_beta_slow: float = 1.0
    rope_mscale: float = 0.0
    rope_mscale_all_dim: float = 0.0
    rope_attention_factor: float = 0.0
    rope_truncate: bool = True
    dense_ffn_dim: int = 10
    norm_eps: float = 1e-6
    kv_norm_eps: float = 1e-6
    residual: str = "plain"
    hc: str = "dynamic"  # or static; for residual "hc"
    streams: int = 4
    sinkhorn: str = "paper"
    sinkhorn_iterations: int = 20
    readout: str = "sum"
    # moe
    experts: int = 4
    active: int = 2
    groups: int = 1
    active_groups: int = 1
    shared: int = 1
    expert_dim: int = 7
    scaling: float = 1.0
    normalise: bool = True
    buffer_factor: float = 1.5

    MOE = ("experts", "active", "groups", "active_groups", "shared", "expert_dim", "scaling",
           "normalise", "buffer_factor")

    def sections(self):
        values = dataclasses.asdict(self)
        moe = {key: values.pop(key) for key in self.MOE}
        if self.residual != "hc":
            del values["hc"]
        if self.groups == 1:
            del moe["groups"], moe["active_groups"]
        if self.rope_scaling == "none":  # keys of yarn have no effect then
            values = {key: v for key, v in values.items() if key not in YARN}
        return {"model": values, "moe": moe}

    def sublayers(self):
        return [f"model.layers.{layer}.{part}_hc" for layer in range(self.layers)
                for part in ("attn", "ffn")]


YARN = {f.name for f in dataclasses.fields(Shape)
        if f.name.startswith("rope_") and f.name not in ("rope_dim", "rope_theta")}


def yaml(sections):
    """Writes two levels of keys as a Birkhoff config."""
    def text(value):
        return str(value).lower() if isinstance(value, bool) else str(value)
    lines = []
    for name, keys in sections.items():
        lines += [f"{name}:"] + [f"  {key}: {text(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def parameters(s):
    """Canonical name → shape for every parameter and balancing bias."""
    named = {"model.embed_tokens.weight": (s.vocab, s.dim), "lm_head.weight": (s.vocab, s.dim),
             "model.norm.weight": (s.dim,)}
    head = s.nope_dim + s.rope_dim
    for layer in range(s.layers):
        block = f"model.layers.{layer}."
        named |= {block + "input_layernorm.weight": (s.dim,),
                  block + "post_attention_layernorm.weight": (s.dim,),
                  block + "self_attn.kv_a_proj_with_mqa.weight": (s.kv_rank + s.rope_dim, s.dim),
                  block + "self_attn.kv_a_layernorm.weight": (s.kv_rank,),
                  block + "self_attn.kv_b_proj.weight":
                      (s.heads * (s.nope_dim + s.v_dim), s.kv_rank),
                  block + "self_attn.o_proj.weight": (s.dim, s.heads * s.v_dim)}
        if s.q_rank:
            named |= {block + "self_attn.q_a_proj.weight": (s.q_rank, s.dim),
                      block + "self_attn.q_a_layernorm.weight": (s.q_rank,),
                      block + "self_attn.q_b_proj.weight": (s.heads * head, s.q_rank)}
        else:
            named[block + "self_attn.q_proj.weight"] = (s.heads * head, s.dim)
        if layer < s.dense_layers:
            named |= _ffn(block + "mlp", s.dim, s.dense_ffn_dim)
            continue
        named |= {block + "mlp.gate.weight": (s.experts, s.dim), block + BIAS: (s.experts,)}
        for e in range(s.experts):
            named |= _ffn(f"{block}mlp.experts.{e}", s.dim, s.expert_dim)
        if s.shared:
            named |= _ffn(block + "mlp.shared_experts", s.dim, s.shared * s.expert_dim)
    return named | _residual(s)


def _ffn(name, dim, width):
    return {name + ".gate_proj.weight": (width, dim), name + ".up_proj.weight": (width, dim),
            name + ".down_proj.weight": (dim, width)}


def _residual(s):
    if s.residual == "plain":
        return {}
    n, named = s.streams, {}
    for name in s.sublayers():
        if s.residual == "mhc":
            named |= {name + ".phi": (n * s.dim, n * n + 2 * n), name + ".alpha": (3,)}
        elif s.hc == "dynamic":
            named |= {name + ".theta_pre": (s.dim,), name + ".theta_post": (s.dim,),
                      name + ".theta_res": (n, s.dim), name + ".alpha": (3,)}
        named |= {name + ".b_pre": (n,), name + ".b_post": (n,), name + ".b_res": (n, n)}
    if s.readout == "learned":
        named |= {"model.readout.w": (n * s.dim, n), "model.readout.scale": (1,),
                  "model.readout.base": (n,)}
    return named


def generator(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def normal(name, shape, sd=1.0, mean=0.0):
    """f32 values that depend only on the name."""
    return mean + sd * torch.randn(shape, generator=generator(name))


def random_parameters(s, seed, phi_sd=None):
    """A generic state in which no two streams, gates or gains are equal. Projections preserve the
    size of their input (sd 1/√inputs), so that every nonlinearity works where it is curved."""
    values = {}
    for name, shape in parameters(s).items():
        key, leaf = f"{seed} {name}", name.rsplit(".", 1)[-1]
        if s.residual == "hc" and leaf == "alpha":
            values[name] = normal(key, shape, 0.1, 0.2)
        elif "norm" in name or leaf in ("alpha", "scale"):
            values[name] = normal(key, shape, 0.1, 1.0)
        elif name.endswith(BIAS):
            values[name] = normal(key, shape, 0.1)
        elif s.residual == "hc" and leaf in HC_STATIC:
            # Nothing bounds hc's mixing. It starts near its initial value, like alpha above, since
            # rounding would otherwise grow in 50 steps until nothing could be compared.
            values[name] = HC_STATIC[leaf](s.streams) + normal(key, shape, 0.2)
        elif leaf.startswith("b_") or leaf == "base":
            values[name] = normal(key, shape)
        elif leaf == "phi":
            values[name] = normal(key, shape, phi_sd or shape[0] ** -0.5)
        elif leaf == "w":
            values[name] = normal(key, shape, shape[0] ** -0.5)
        else:
            values[name] = normal(key, shape, shape[-1] ** -0.5)
    return values


def random_batch(s, seed, shape):
    """Tokens and targets as i32 of a shape; one target in seven is not counted (−1)."""
    token = torch.randint(s.vocab, shape, generator=generator(f"{seed} token"))
    target = torch.randint(s.vocab, shape, generator=generator(f"{seed} target"))
    target.view(-1)[3::7] = -1
    return token.to(torch.int32), target.to(torch.int32)
