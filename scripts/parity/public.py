"""Independent implementations: transformers' DeepseekV3ForCausalLM, DeepseekV4HyperConnection."""
import torch
import transformers
from transformers.models.deepseek_v4.modeling_deepseek_v4 import DeepseekV4HyperConnection

import shape as shapes

transformers.logging.set_verbosity_error()  # it lists skipped tensors, and questions yarn's factor
transformers.logging.disable_progress_bar()


def deepseek_v3(s, p, token, target):
    """Loss, logits and gradients by canonical name, in fp32. Its norms of latents always have eps
    1e-6, whatever its config says, hence s.kv_norm_eps."""
    assert s.kv_norm_eps == 1e-6 and s.residual == "plain"
    config = transformers.DeepseekV3Config(
        vocab_size=s.vocab, hidden_size=s.dim, num_hidden_layers=s.layers,
        first_k_dense_replace=s.dense_layers, num_attention_heads=s.heads,
        num_key_value_heads=s.heads, qk_nope_head_dim=s.nope_dim, qk_rope_head_dim=s.rope_dim,
        v_head_dim=s.v_dim, kv_lora_rank=s.kv_rank, q_lora_rank=s.q_rank or None,
        intermediate_size=s.dense_ffn_dim, moe_intermediate_size=s.expert_dim,
        n_routed_experts=s.experts, n_shared_experts=s.shared, num_experts_per_tok=s.active,
        n_group=s.groups, topk_group=s.active_groups, norm_topk_prob=s.normalise,
        routed_scaling_factor=s.scaling,
        rms_norm_eps=s.norm_eps, rope_interleave=True, tie_word_embeddings=False, use_cache=False,
        rope_parameters=rope_parameters(s), max_position_embeddings=s.rope_original_positions,
        attn_implementation="eager", experts_implementation="eager",
        pad_token_id=None, bos_token_id=None, eos_token_id=None)
    model = transformers.DeepseekV3ForCausalLM(config).float().train()
    _load(model, s, p)
    return _results(model, token, target)


def rope_parameters(s):
    """The rope parameters in the form of transformers 5."""
    if s.rope_scaling == "none":
        return {"rope_type": "default", "rope_theta": s.rope_theta}
    values = {"rope_type": "yarn", "rope_theta": s.rope_theta, "factor": s.rope_factor,
              "original_max_position_embeddings": s.rope_original_positions,
              "beta_fast": s.rope_beta_fast, "beta_slow": s.rope_beta_slow,
              "truncate": s.rope_truncate}
    for key in ("mscale", "mscale_all_dim", "attention_factor"):
        if getattr(s, "rope_" + key):
            values[key] = getattr(s, "rope_" + key)
    return values


def from_directory(folder, token, target):
    """The same for a directory that transformers loads itself, with weights converted to f32."""
    model = transformers.DeepseekV3ForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager",
        experts_implementation="eager").train()
    return _results(model, token, target)


def _results(model, token, target):
    labels = target.long().masked_fill(target < 0, -100)
    out = model(input_ids=token.long(), labels=labels, shift_labels=labels)
    out.loss.backward()
    values = {"loss": out.loss.detach().reshape(1), "logits": out.logits.detach().flatten(0, -2)}
    for name, parameter in model.named_parameters():
        values |= {"gradient." + k: g for k, g in _parts(name, parameter.grad)}
    return values


def _parts(name, tensor):
    """Canonical names and tensors for one of theirs, which stack all experts of a layer."""
    if ".mlp.experts." not in name:
        yield name, tensor
        return
    for e, own in enumerate(tensor):
        prefix = f"{name.rsplit('.', 1)[0]}.{e}."
        if name.endswith("gate_up_proj"):
            gate, up = own.chunk(2)
            yield prefix + "gate_proj.weight", gate
            yield prefix + "up_proj.weight", up
        else:
            yield prefix + "down_proj.weight", own


def _load(model, s, p):
    left = set(shapes.parameters(s))
    with torch.no_grad():
        tensors = dict(model.named_parameters())
        tensors |= {name: b for name, b in model.named_buffers() if name.endswith(shapes.BIAS)}
        for name, tensor in tensors.items():
            for own, part in _parts(name, tensor):
                part.copy_(p[own])
                left.remove(own)
    assert not left, f"transformers has no place for {sorted(left)}"


def hyper_connection(t, n, iterations, eps):
    """DeepseekV4HyperConnection on a case's tensors in fp32, as its decoder layer uses it. It keeps
    comb = resᵀ, so the columns of phi and b that make res are transposed relative to ours."""
    width = t["f"].shape[-1]
    config = transformers.DeepseekV4Config(
        hidden_size=width, hc_mult=n, hc_sinkhorn_iters=iterations, hc_eps=1e-6, rms_norm_eps=eps)
    module = DeepseekV4HyperConnection(config)
    columns = torch.cat([torch.arange(2 * n),
                         2 * n + torch.arange(n * n).reshape(n, n).T.flatten()])
    with torch.no_grad():
        module.fn.copy_(t["phi"].T[columns])
        module.base.copy_(t["b"][columns])
        module.scale.copy_(t["alpha"])
    x = t["x"].reshape(1, -1, n, width).clone().requires_grad_()
    f = t["f"].unsqueeze(0).clone().requires_grad_()
    post, comb, h = module(x)
    y = post.unsqueeze(-1) * f.unsqueeze(-2) + torch.matmul(comb.transpose(-1, -2), x)
    ((h * t["dh"]).sum() + (y.flatten(2) * t["dy"]).sum()).backward()
    back = torch.argsort(columns)
    return {"h": h, "y": y, "post": post, "res": comb.transpose(-1, -2), "dx": x.grad,
            "df": f.grad, "dphi": module.fn.grad[back].T, "dalpha": module.scale.grad,
            "db": module.base.grad[back]}
