#!/usr/bin/env python3
"""Writes tests/golden/hf: a tiny DeepseekV3 model in Hugging Face's form, twice, and what it says.

    tests/golden/make_hf.py DIR

    DIR/pairs/        rotary pairs (2i, 2i + 1), two files with an index; F32, BF16 and F16
    DIR/halves/       the same function with rope_interleave: false, one file, F32
    DIR/expected.json log-probability of each of its tokens but the first, in double precision; and
                      those of the same weights with expert groups

The forward pass below follows transformers' modeling_deepseek_v3.py, in plain Python: it shares
nothing with the engine. Weights are multiples of 1/64 or 1/128 that every dtype holds exactly.
"""
import json
import math
import pathlib
import struct
import sys
import zlib

CONFIG = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "vocab_size": 11,
    "hidden_size": 8, "num_hidden_layers": 3, "first_k_dense_replace": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "q_lora_rank": None, "kv_lora_rank": 5, "qk_nope_head_dim": 3,
    "qk_rope_head_dim": 4, "v_head_dim": 6, "intermediate_size": 12, "moe_intermediate_size": 5,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 2, "n_group": 1,
    "topk_group": 1, "norm_topk_prob": True, "routed_scaling_factor": 1.5, "hidden_act": "silu",
    "rms_norm_eps": 1e-3, "rope_theta": 50.0, "rope_scaling": None, "rope_interleave": True,
    "max_position_embeddings": 16, "attention_bias": False, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16"}
TOKENS = [1, 7, 3, 10, 0, 3, 5, 9, 2, 2, 8, 4, 6]
GROUPS = {"n_group": 2, "topk_group": 1}  # of the same weights, another function
KV_NORM_EPS = 1e-6  # of the class, whatever the config says
C = CONFIG["hidden_size"]
HEADS, NOPE, ROPE = (CONFIG[k] for k in ("num_attention_heads", "qk_nope_head_dim",
                                         "qk_rope_head_dim"))
V, RANK = CONFIG["v_head_dim"], CONFIG["kv_lora_rank"]


def shapes():
    """name → shape of every tensor."""
    moe = CONFIG["moe_intermediate_size"]
    all_ = {"model.embed_tokens.weight": (CONFIG["vocab_size"], C),
            "lm_head.weight": (CONFIG["vocab_size"], C), "model.norm.weight": (C,)}

    def ffn(name, width):
        all_.update({f"{name}.gate_proj.weight": (width, C), f"{name}.up_proj.weight": (width, C),
                     f"{name}.down_proj.weight": (C, width)})

    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        all_.update({f"{name}.input_layernorm.weight": (C,),
                     f"{name}.post_attention_layernorm.weight": (C,),
                     f"{name}.self_attn.q_proj.weight": (HEADS * (NOPE + ROPE), C),
                     f"{name}.self_attn.kv_a_proj_with_mqa.weight": (RANK + ROPE, C),
                     f"{name}.self_attn.kv_a_layernorm.weight": (RANK,),
                     f"{name}.self_attn.kv_b_proj.weight": (HEADS * (NOPE + V), RANK),
                     f"{name}.self_attn.o_proj.weight": (C, HEADS * V)})
        if layer < CONFIG["first_k_dense_replace"]:
            ffn(f"{name}.mlp", CONFIG["intermediate_size"])
            continue
        all_[f"{name}.mlp.gate.weight"] = (CONFIG["n_routed_experts"], C)
        all_[f"{name}.mlp.gate.e_score_correction_bias"] = (CONFIG["n_routed_experts"],)
        for expert in range(CONFIG["n_routed_experts"]):
            ffn(f"{name}.mlp.experts.{expert}", moe)
        ffn(f"{name}.mlp.shared_experts", moe * CONFIG["n_shared_experts"])
    return all_


def weights():
    """name → values, row after row."""
    def value(name, i):
        k = zlib.crc32(f"{name}:{i}".encode())
        return 1 + (k % 63 - 31) / 128 if "norm" in name else (k % 121 - 60) / 64

    return {name: [value(name, i) for i in range(math.prod(shape))]
            for name, shape in shapes().items()}


def halves(values, shape, name):
    """Rows of rotary pairs (2i, 2i + 1) put to (i, i + ROPE / 2)."""
    if name.endswith("q_proj.weight"):
        first = [h * (NOPE + ROPE) + NOPE for h in range(HEADS)]
    elif name.endswith("kv_a_proj_with_mqa.weight"):
        first = [RANK]
    else:
        return values
    rows = [values[r * C:(r + 1) * C] for r in range(shape[0])]
    for at in first:
        turned = rows[at:at + ROPE]
        rows[at:at + ROPE] = turned[0::2] + turned[1::2]
    return sum(rows, [])


# The forward pass.

def linear(x, w):
    """x [n] by w [m, n], given flat."""
    n = len(x)
    return [math.fsum(w[r * n + i] * x[i] for i in range(n)) for r in range(len(w) // n)]


def rms_norm(x, gain, eps):
    scale = 1 / math.sqrt(math.fsum(v * v for v in x) / len(x) + eps)
    return [v * scale * g for v, g in zip(x, gain)]


def swiglu(x, w, name):
    gate, up = (linear(x, w[f"{name}.{part}_proj.weight"]) for part in ("gate", "up"))
    return linear([g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)],
                  w[f"{name}.down_proj.weight"])


def rope(x, position):
    """apply_rotary_pos_emb_interleave: pairs apart, then rotate_half."""
    x = x[0::2] + x[1::2]
    half = ROPE // 2
    angles = [position * CONFIG["rope_theta"] ** (-2 * i / ROPE) for i in range(half)] * 2
    turned = [-v for v in x[half:]] + x[:half]
    return [v * math.cos(a) + t * math.sin(a) for v, t, a in zip(x, turned, angles)]


def attention(xs, w, name):
    q, k, v = [], [], []
    for position, x in enumerate(xs):
        head = NOPE + ROPE
        flat = linear(x, w[f"{name}.q_proj.weight"])
        q.append([flat[h * head:h * head + NOPE] + rope(flat[h * head + NOPE:(h + 1) * head],
                                                        position) for h in range(HEADS)])
        latent = linear(x, w[f"{name}.kv_a_proj_with_mqa.weight"])
        shared = rope(latent[RANK:], position)
        normed = rms_norm(latent[:RANK], w[f"{name}.kv_a_layernorm.weight"], KV_NORM_EPS)
        flat = linear(normed, w[f"{name}.kv_b_proj.weight"])
        parts = [flat[h * (NOPE + V):(h + 1) * (NOPE + V)] for h in range(HEADS)]
        k.append([part[:NOPE] + shared for part in parts])
        v.append([part[NOPE:] for part in parts])
    out = []
    for t in range(len(xs)):
        row = []
        for h in range(HEADS):
            scores = [math.fsum(a * b for a, b in zip(q[t][h], k[s][h])) / math.sqrt(NOPE + ROPE)
                      for s in range(t + 1)]
            p = [math.exp(s - max(scores)) for s in scores]
            row += [math.fsum(p[s] * v[s][h][i] for s in range(t + 1)) / math.fsum(p)
                    for i in range(V)]
        out.append(linear(row, w[f"{name}.o_proj.weight"]))
    return out


def best(values, count):
    """Indices of the largest ones."""
    order = sorted(range(len(values)), key=lambda i: -values[i])
    if count < len(values):
        margin = values[order[count - 1]] - values[order[count]]
        assert margin > 1e-4, f"too close for single precision: {margin}"
    return order[:count]


def experts(x, w, name, config):
    scores = [1 / (1 + math.exp(-v)) for v in linear(x, w[f"{name}.gate.weight"])]
    biased = [s + b for s, b in zip(scores, w[f"{name}.gate.e_score_correction_bias"])]
    size = len(scores) // config["n_group"]
    groups = [math.fsum(sorted(biased[g:g + size])[-2:]) for g in range(0, len(scores), size)]
    kept = best(groups, config["topk_group"])
    biased = [b if e // size in kept else -math.inf for e, b in enumerate(biased)]
    chosen = best(biased, config["num_experts_per_tok"])
    total = math.fsum(scores[e] for e in chosen)
    y = swiglu(x, w, f"{name}.shared_experts")
    for e in chosen:
        part = swiglu(x, w, f"{name}.experts.{e}")
        weight = scores[e] / total * CONFIG["routed_scaling_factor"]
        y = [a + weight * b for a, b in zip(y, part)]
    return y


def log_probabilities(w, tokens, config):
    eps = CONFIG["rms_norm_eps"]
    xs = [w["model.embed_tokens.weight"][t * C:(t + 1) * C] for t in tokens]
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        normed = [rms_norm(x, w[f"{name}.input_layernorm.weight"], eps) for x in xs]
        ys = attention(normed, w, f"{name}.self_attn")
        xs = [[a + b for a, b in zip(x, y)] for x, y in zip(xs, ys)]
        dense = layer < CONFIG["first_k_dense_replace"]
        for t, x in enumerate(xs):
            h = rms_norm(x, w[f"{name}.post_attention_layernorm.weight"], eps)
            y = swiglu(h, w, f"{name}.mlp") if dense else experts(h, w, f"{name}.mlp", config)
            xs[t] = [a + b for a, b in zip(x, y)]
    result = []
    for x, target in zip(xs, tokens[1:]):
        logits = linear(rms_norm(x, w["model.norm.weight"], eps), w["lm_head.weight"])
        top = max(logits)
        result.append(logits[target] - top - math.log(math.fsum(math.exp(v - top)
                                                                for v in logits)))
    return result


# The files.

def encoded(values, dtype):
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    bits = struct.pack(f"<{len(values)}f", *values)
    if dtype == "F32":
        return bits
    return b"".join(bits[i + 2:i + 4] for i in range(0, len(bits), 4))  # exact: the rest is 0


def write_safetensors(path, tensors, dtype_of):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, values in tensors.items():
        raw = encoded(values, dtype_of(name))
        header[name] = {"dtype": dtype_of(name), "shape": list(shapes()[name]),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def dtype_of(name):
    if name.endswith("e_score_correction_bias") or name.endswith("mlp.gate.weight"):
        return "F32"
    return "F16" if ".1." in name else "BF16"


def main():
    out = pathlib.Path(sys.argv[1])
    w = weights()
    for folder in ("pairs", "halves"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        config = CONFIG | {"rope_interleave": folder == "pairs"}
        (out / folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    names = list(w)
    index = {}
    for number, some in ((1, names[1::2]), (2, names[0::2])):
        file = f"model-{number:05d}-of-00002.safetensors"
        write_safetensors(out / "pairs" / file, {n: w[n] for n in some}, dtype_of)
        index.update({n: file for n in some})
    (out / "pairs/model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": sum(len(encoded(w[n], dtype_of(n))) for n in w)},
         "weight_map": index}, indent=2) + "\n")
    write_safetensors(out / "halves/model.safetensors",
                      {n: halves(w[n], shapes()[n], n) for n in reversed(names)}, lambda _: "F32")
    (out / "expected.json").write_text(json.dumps(
        {"tokens": TOKENS, "log_probability": log_probabilities(w, TOKENS, CONFIG),
         "groups": GROUPS,
         "log_probability_in_groups": log_probabilities(w, TOKENS, CONFIG | GROUPS)},
        indent=2) + "\n")


if __name__ == "__main__":
    main()
