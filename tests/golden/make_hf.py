#!/usr/bin/env python3
"""Writes tests/golden/hf: tiny DeepseekV3 models in Hugging Face's form, and what they say.

    tests/golden/make_hf.py DIR

    DIR/pairs/        rotary pairs (2i, 2i + 1), two files with an index; F32, BF16 and F16
    DIR/halves/       the same function with rope_interleave: false, one file, F32
    DIR/moonlight/    every key of Moonlight-16B-A3B's config, its BF16 and its inv_freq buffers
    DIR/deepseek_v3/  every key of DeepSeek-V3's config: queries through a latent, yarn, expert
                      groups, fp8 weights in blocks, a layer for multi-token prediction; two files
    DIR/tied/         moonlight with tie_word_embeddings and no head
    DIR/expected.json of each, log-probability of each token but the first, in double precision; and
                      those of pairs' weights with expert groups

The forward pass below follows transformers' modeling_deepseek_v3.py, in plain Python: it shares
nothing with the engine. Weights are numbers that their dtypes hold exactly.
"""
import json
import math
import pathlib
import struct
import sys
import zlib

PAIRS = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "vocab_size": 11,
    "hidden_size": 8, "num_hidden_layers": 3, "first_k_dense_replace": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "q_lora_rank": None, "kv_lora_rank": 5, "qk_nope_head_dim": 3,
    "qk_rope_head_dim": 4, "v_head_dim": 6, "intermediate_size": 12, "moe_intermediate_size": 5,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 2, "n_group": 1,
    "topk_group": 1, "norm_topk_prob": True, "routed_scaling_factor": 1.5, "hidden_act": "silu",
    "rms_norm_eps": 1e-3, "rope_theta": 50.0, "rope_scaling": None, "rope_interleave": True,
    "max_position_embeddings": 16, "attention_bias": False, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16"}
AUTO_MAP = {"AutoConfig": "configuration_deepseek.DeepseekV3Config",
            "AutoModel": "modeling_deepseek.DeepseekV3Model",
            "AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM"}
# The published files, key by key; sizes are cut.
MOONLIGHT = {
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "auto_map": AUTO_MAP, "aux_loss_alpha": 0.001, "bos_token_id": 9, "eos_token_id": 10,
    "ep_size": 1, "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 8,
    "initializer_range": 0.02, "intermediate_size": 12, "kv_lora_rank": 5,
    "max_position_embeddings": 8192, "model_type": "deepseek_v3", "moe_intermediate_size": 5,
    "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 6, "n_shared_experts": 2,
    "norm_topk_prob": True, "num_attention_heads": 2, "num_experts_per_tok": 3,
    "num_hidden_layers": 2, "num_key_value_heads": 2, "num_nextn_predict_layers": 0,
    "pretraining_tp": 1, "q_lora_rank": None, "qk_nope_head_dim": 3, "qk_rope_head_dim": 6,
    "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 50000.0,
    "routed_scaling_factor": 2.446, "scoring_func": "sigmoid", "seq_aux": True,
    "tie_word_embeddings": False, "topk_group": 1, "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16", "transformers_version": "4.46.3", "use_cache": True, "v_head_dim": 6,
    "vocab_size": 11}
DEEPSEEK_V3 = {
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "auto_map": AUTO_MAP, "aux_loss_alpha": 0.001, "bos_token_id": 0, "eos_token_id": 1,
    "ep_size": 1, "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 8,
    "initializer_range": 0.02, "intermediate_size": 130, "kv_lora_rank": 5,
    "max_position_embeddings": 163840, "model_type": "deepseek_v3", "moe_intermediate_size": 4,
    "moe_layer_freq": 1, "n_group": 4, "n_routed_experts": 12, "n_shared_experts": 1,
    "norm_topk_prob": True, "num_attention_heads": 2, "num_experts_per_tok": 3,
    "num_hidden_layers": 2, "num_key_value_heads": 2, "num_nextn_predict_layers": 1,
    "pretraining_tp": 1, "q_lora_rank": 6, "qk_nope_head_dim": 3, "qk_rope_head_dim": 8,
    "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                            "weight_block_size": [128, 128]},
    "rms_norm_eps": 1e-06,
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0,
                     "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096,
                     "type": "yarn"},
    "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "seq_aux": True,
    "tie_word_embeddings": False, "topk_group": 2, "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16", "transformers_version": "4.33.1", "use_cache": True, "v_head_dim": 6,
    "vocab_size": 11}
TOKENS = [1, 7, 3, 10, 0, 3, 5, 9, 2, 2, 8, 4, 6]
GROUPS = {"n_group": 2, "topk_group": 1}  # of the weights of pairs, another function
LATENT_EPS = 1e-6  # of the class, whatever the config says


def shapes(c):
    """name → shape of every parameter."""
    dim = c["hidden_size"]
    all_ = {"model.embed_tokens.weight": (c["vocab_size"], dim),
            "lm_head.weight": (c["vocab_size"], dim), "model.norm.weight": (dim,)}
    for layer in range(c["num_hidden_layers"]):
        all_.update(block(c, layer))
    for layer in range(c["num_hidden_layers"],
                       c["num_hidden_layers"] + c.get("num_nextn_predict_layers", 0)):
        name = f"model.layers.{layer}"
        all_.update(block(c, layer))
        all_.update({f"{name}.{norm}.weight": (dim,)
                     for norm in ("enorm", "hnorm", "shared_head.norm")})
        all_.update({f"{name}.eh_proj.weight": (dim, 2 * dim),
                     f"{name}.embed_tokens.weight": (c["vocab_size"], dim),
                     f"{name}.shared_head.head.weight": (c["vocab_size"], dim)})
    return all_


def head_dim(c):
    return c["qk_nope_head_dim"] + c["qk_rope_head_dim"]


def block(c, layer):
    dim, heads, rank = c["hidden_size"], c["num_attention_heads"], c["kv_lora_rank"]
    moe, name, width = c["moe_intermediate_size"], f"model.layers.{layer}", head_dim(c)
    all_ = {}

    def ffn(part, inner):
        all_.update({f"{part}.gate_proj.weight": (inner, dim),
                     f"{part}.up_proj.weight": (inner, dim),
                     f"{part}.down_proj.weight": (dim, inner)})

    all_.update({f"{name}.input_layernorm.weight": (dim,),
                 f"{name}.post_attention_layernorm.weight": (dim,)})
    if c["q_lora_rank"] is None:
        all_[f"{name}.self_attn.q_proj.weight"] = (heads * width, dim)
    else:
        all_.update({f"{name}.self_attn.q_a_proj.weight": (c["q_lora_rank"], dim),
                     f"{name}.self_attn.q_a_layernorm.weight": (c["q_lora_rank"],),
                     f"{name}.self_attn.q_b_proj.weight": (heads * width, c["q_lora_rank"])})
    all_.update({f"{name}.self_attn.kv_a_proj_with_mqa.weight": (rank + c["qk_rope_head_dim"], dim),
                 f"{name}.self_attn.kv_a_layernorm.weight": (rank,),
                 f"{name}.self_attn.kv_b_proj.weight":
                     (heads * (c["qk_nope_head_dim"] + c["v_head_dim"]), rank),
                 f"{name}.self_attn.o_proj.weight": (dim, heads * c["v_head_dim"])})
    if layer < c["first_k_dense_replace"]:
        ffn(f"{name}.mlp", c["intermediate_size"])
        return all_
    all_[f"{name}.mlp.gate.weight"] = (c["n_routed_experts"], dim)
    all_[f"{name}.mlp.gate.e_score_correction_bias"] = (c["n_routed_experts"],)
    for expert in range(c["n_routed_experts"]):
        ffn(f"{name}.mlp.experts.{expert}", moe)
    ffn(f"{name}.mlp.shared_experts", moe * c["n_shared_experts"])
    return all_


def weights(c):
    """name → values, row after row."""
    def value(name, i):
        k = zlib.crc32(f"{name}:{i}".encode())
        return 1 + (k % 63 - 31) / 128 if "norm" in name else (k % 121 - 60) / 64

    return {name: [value(name, i) for i in range(math.prod(shape))]
            for name, shape in shapes(c).items()}


def halves(values, shape, name, c):
    """Rows of rotary pairs (2i, 2i + 1) put to (i, i + rope / 2)."""
    nope, rope = c["qk_nope_head_dim"], c["qk_rope_head_dim"]
    if name.endswith("q_proj.weight"):
        first = [h * (nope + rope) + nope for h in range(c["num_attention_heads"])]
    elif name.endswith("kv_a_proj_with_mqa.weight"):
        first = [c["kv_lora_rank"]]
    else:
        return values
    columns = shape[1]
    rows = [values[r * columns:(r + 1) * columns] for r in range(shape[0])]
    for at in first:
        turned = rows[at:at + rope]
        rows[at:at + rope] = turned[0::2] + turned[1::2]
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


def mscale(factor, weight):
    """yarn_get_mscale."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def frequencies(c):
    """compute_default_rope_parameters, or _compute_yarn_parameters: frequencies, and what cosines
    and sines are multiplied by."""
    dim, theta, yarn = c["qk_rope_head_dim"], c["rope_theta"], c["rope_scaling"]
    plain = [theta ** (-2 * i / dim) for i in range(dim // 2)]
    if yarn is None:
        return plain, 1.0

    def correction(turns):
        length = yarn["original_max_position_embeddings"]
        return dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(correction(yarn["beta_fast"])), 0)
    high = min(math.ceil(correction(yarn["beta_slow"])), dim - 1)
    ramp = [min(max((i - low) / (high - low), 0), 1) for i in range(dim // 2)]
    return ([f / yarn["factor"] * r + f * (1 - r) for f, r in zip(plain, ramp)],
            mscale(yarn["factor"], yarn["mscale"]) / mscale(yarn["factor"], yarn["mscale_all_dim"]))


def rope(x, position, c):
    """apply_rotary_pos_emb_interleave: pairs apart, then rotate_half."""
    x = x[0::2] + x[1::2]
    half = len(x) // 2
    turns, size = frequencies(c)
    angles = [position * f for f in turns] * 2
    turned = [-v for v in x[half:]] + x[:half]
    return [size * (v * math.cos(a) + t * math.sin(a)) for v, t, a in zip(x, turned, angles)]


def attention_scale(c):
    scale, yarn = head_dim(c) ** -0.5, c["rope_scaling"]
    return scale if yarn is None else scale * mscale(yarn["factor"], yarn["mscale_all_dim"]) ** 2


def attention(xs, w, name, c):
    heads, nope, v_dim, rank = (c[k] for k in ("num_attention_heads", "qk_nope_head_dim",
                                               "v_head_dim", "kv_lora_rank"))
    head, q, k, v = head_dim(c), [], [], []
    for position, x in enumerate(xs):
        if c["q_lora_rank"] is None:
            flat = linear(x, w[f"{name}.q_proj.weight"])
        else:
            latent = linear(x, w[f"{name}.q_a_proj.weight"])
            flat = linear(rms_norm(latent, w[f"{name}.q_a_layernorm.weight"], LATENT_EPS),
                          w[f"{name}.q_b_proj.weight"])
        q.append([flat[h * head:h * head + nope] + rope(flat[h * head + nope:(h + 1) * head],
                                                        position, c) for h in range(heads)])
        latent = linear(x, w[f"{name}.kv_a_proj_with_mqa.weight"])
        shared = rope(latent[rank:], position, c)
        normed = rms_norm(latent[:rank], w[f"{name}.kv_a_layernorm.weight"], LATENT_EPS)
        flat = linear(normed, w[f"{name}.kv_b_proj.weight"])
        parts = [flat[h * (nope + v_dim):(h + 1) * (nope + v_dim)] for h in range(heads)]
        k.append([part[:nope] + shared for part in parts])
        v.append([part[nope:] for part in parts])
    out, scale = [], attention_scale(c)
    for t in range(len(xs)):
        row = []
        for h in range(heads):
            scores = [math.fsum(a * b for a, b in zip(q[t][h], k[s][h])) * scale
                      for s in range(t + 1)]
            p = [math.exp(s - max(scores)) for s in scores]
            row += [math.fsum(p[s] * v[s][h][i] for s in range(t + 1)) / math.fsum(p)
                    for i in range(v_dim)]
        out.append(linear(row, w[f"{name}.o_proj.weight"]))
    return out


def ranked(values, count, what):
    """The largest ones, by index; they must be plain in single precision too."""
    order = sorted(range(len(values)), key=lambda i: -values[i])
    if count < len(order):
        margin = values[order[count - 1]] - values[order[count]]
        assert margin > 1e-4, f"{what} too close for single precision: {margin}"
    return order[:count]


def experts(x, w, name, c):
    scores = [1 / (1 + math.exp(-v)) for v in linear(x, w[f"{name}.gate.weight"])]
    biased = [s + b for s, b in zip(scores, w[f"{name}.gate.e_score_correction_bias"])]
    size = len(scores) // c["n_group"]
    groups = [sum(sorted(biased[g * size:(g + 1) * size])[-2:]) for g in range(c["n_group"])]
    kept = ranked(groups, c["topk_group"], "groups")
    masked = [b if e // size in kept else -math.inf for e, b in enumerate(biased)]
    chosen = ranked(masked, c["num_experts_per_tok"], "experts")
    total = math.fsum(scores[e] for e in chosen)
    y = swiglu(x, w, f"{name}.shared_experts")
    for e in chosen:
        part = swiglu(x, w, f"{name}.experts.{e}")
        weight = scores[e] / total * c["routed_scaling_factor"]
        y = [a + weight * b for a, b in zip(y, part)]
    return y


def log_probabilities(w, tokens, c):
    eps, dim = c["rms_norm_eps"], c["hidden_size"]
    xs = [w["model.embed_tokens.weight"][t * dim:(t + 1) * dim] for t in tokens]
    for layer in range(c["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        normed = [rms_norm(x, w[f"{name}.input_layernorm.weight"], eps) for x in xs]
        ys = attention(normed, w, f"{name}.self_attn", c)
        xs = [[a + b for a, b in zip(x, y)] for x, y in zip(xs, ys)]
        dense = layer < c["first_k_dense_replace"]
        for t, x in enumerate(xs):
            h = rms_norm(x, w[f"{name}.post_attention_layernorm.weight"], eps)
            y = swiglu(h, w, f"{name}.mlp") if dense else experts(h, w, f"{name}.mlp", c)
            xs[t] = [a + b for a, b in zip(x, y)]
    result = []
    for x, target in zip(xs, tokens[1:]):
        logits = linear(rms_norm(x, w["model.norm.weight"], eps), w["lm_head.weight"])
        top = max(logits)
        result.append(logits[target] - top - math.log(math.fsum(math.exp(v - top)
                                                                for v in logits)))
    return result


# The files: name → (dtype, shape, values); values of F8_E4M3 are its codes.

def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def encoded(values, dtype):
    if dtype == "F8_E4M3":
        return bytes(values)
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    bits = struct.pack(f"<{len(values)}f", *values)
    if dtype == "F32":
        return bits
    return b"".join(bits[i + 2:i + 4] for i in range(0, len(bits), 4))  # exact: the rest is 0


def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, values) in tensors.items():
        raw = encoded(values, dtype)
        header[name] = {"dtype": dtype, "shape": list(shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_model(folder, config, files):
    """files: one, or several with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if len(files) == 1:
        write_safetensors(folder / "model.safetensors", files[0])
        return
    index, size = {}, 0
    for number, tensors in enumerate(files, 1):
        file = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        write_safetensors(folder / file, tensors)
        index.update({name: file for name in tensors})
        size += sum(len(encoded(values, dtype)) for dtype, _, values in tensors.values())
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": size}, "weight_map": index}, indent=2) + "\n")


def pairs_and_halves(out):
    w, sizes = weights(PAIRS), shapes(PAIRS)

    def dtype_of(name):
        if name.endswith("e_score_correction_bias") or name.endswith("mlp.gate.weight"):
            return "F32"
        return "F16" if ".1." in name else "BF16"

    names = list(w)
    write_model(out / "pairs", PAIRS,
                [{n: (dtype_of(n), sizes[n], w[n]) for n in some}
                 for some in (names[1::2], names[0::2])])
    write_model(out / "halves", PAIRS | {"rope_interleave": False},
                [{n: ("F32", sizes[n], halves(w[n], sizes[n], n, PAIRS)) for n in reversed(names)}])
    return log_probabilities(w, TOKENS, PAIRS), log_probabilities(w, TOKENS, PAIRS | GROUPS)


def moonlight(out):
    w, sizes = weights(MOONLIGHT), shapes(MOONLIGHT)
    files = {n: ("F32" if n.endswith("bias") else "BF16", sizes[n], w[n]) for n in w}
    tied = {n: t for n, t in files.items() if n != "lm_head.weight"}
    turns, _ = frequencies(MOONLIGHT)
    for layer in range(MOONLIGHT["num_hidden_layers"]):
        name = f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"
        files[name] = ("F32", (len(turns),), turns)
    write_model(out / "moonlight", MOONLIGHT, [files])
    write_model(out / "tied", MOONLIGHT | {"tie_word_embeddings": True}, [tied])
    return (log_probabilities(w, TOKENS, MOONLIGHT),
            log_probabilities(w | {"lm_head.weight": w["model.embed_tokens.weight"]}, TOKENS,
                              MOONLIGHT))


def is_fp8(name):
    """Every projection but the router's, as published."""
    return name.endswith("_proj.weight") and "eh_proj" not in name or "kv_a_proj" in name


def decoded(code):
    """The value of a code of E4M3 that is not NaN."""
    sign, exponent, fraction = -1 if code >> 7 else 1, code >> 3 & 15, code & 7
    if exponent == 0:
        return sign * math.ldexp(fraction / 8, -6)
    return sign * math.ldexp(1 + fraction / 8, exponent - 7)


def quantised(name, shape):
    """Codes, scales, and the weights that they stand for."""
    rows, columns = shape
    across = -(-columns // 128)
    codes = []
    for i in range(rows * columns):
        k = zlib.crc32(f"{name}:{i}".encode())
        codes.append((k & 1) << 7 | (k >> 1) % 0x7F)  # any but NaN, 448 among them
    scales = [f32((1 + zlib.crc32(f"{name}:scale:{i}".encode()) % 997 / 997) / 300)
              for i in range(-(-rows // 128) * across)]
    values = [f32(decoded(code) * scales[i // columns // 128 * across + i % columns // 128])
              for i, code in enumerate(codes)]
    return codes, scales, values


def deepseek_v3(out):
    w, sizes, files = weights(DEEPSEEK_V3), shapes(DEEPSEEK_V3), [{}, {}]
    for name, shape in sizes.items():
        if is_fp8(name):
            codes, scales, w[name] = quantised(name, shape)
            files[0][name] = ("F8_E4M3", shape, codes)
            blocks = tuple(-(-n // 128) for n in shape)
            files[1][name + "_scale_inv"] = ("F32", blocks, scales)
        else:
            files[1][name] = ("F32" if name.endswith("bias") else "BF16", shape, w[name])
    write_model(out / "deepseek_v3", DEEPSEEK_V3, files)
    return log_probabilities(w, TOKENS, DEEPSEEK_V3)


def main():
    out = pathlib.Path(sys.argv[1])
    expected = {"tokens": TOKENS, "groups": GROUPS}
    expected["log_probability"], expected["log_probability_in_groups"] = pairs_and_halves(out)
    expected["moonlight"], expected["tied"] = moonlight(out)
    expected["deepseek_v3"] = deepseek_v3(out)
    (out / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
