"""Directories in the form of published models, with every key of their config.json and their extra
tensors. Birkhoff imports them, transformers loads them, and model.py computes them. Sizes are
reduced."""
import dataclasses
import json
import pathlib

import torch
from safetensors.torch import save_file

import cases
import model
import public
import shape as shapes
from oracle import Oracle
from shape import Shape

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build/parity/hf"
AUTO_MAP = {"AutoConfig": "configuration_deepseek.DeepseekV3Config",
            "AutoModel": "modeling_deepseek.DeepseekV3Model",
            "AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM"}
# Published keys other than shapes, of moonshotai/Moonlight-16B-A3B and deepseek-ai/DeepSeek-V3.
COMMON = {
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "auto_map": AUTO_MAP, "aux_loss_alpha": 0.001, "ep_size": 1, "hidden_act": "silu",
    "initializer_range": 0.02, "model_type": "deepseek_v3", "moe_layer_freq": 1,
    "pretraining_tp": 1, "scoring_func": "sigmoid", "seq_aux": True, "tie_word_embeddings": False,
    "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "use_cache": True}
MOONLIGHT = COMMON | {
    "bos_token_id": 27, "eos_token_id": 28, "max_position_embeddings": 8192,
    "num_nextn_predict_layers": 0, "rope_scaling": None, "transformers_version": "4.46.3"}
DEEPSEEK_V3 = COMMON | {
    "bos_token_id": 0, "eos_token_id": 1, "max_position_embeddings": 163840,
    "num_nextn_predict_layers": 1, "transformers_version": "4.33.1",
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0,
                     "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096,
                     "type": "yarn"}}
YARN = {"rope_scaling": "yarn", "rope_factor": 40.0, "rope_original_positions": 4096,
        "rope_mscale": 1.0, "rope_mscale_all_dim": 1.0}


def config_keys(s):
    """The keys that define a shape."""
    return {"vocab_size": s.vocab, "hidden_size": s.dim, "num_hidden_layers": s.layers,
            "first_k_dense_replace": s.dense_layers, "num_attention_heads": s.heads,
            "num_key_value_heads": s.heads, "qk_nope_head_dim": s.nope_dim,
            "qk_rope_head_dim": s.rope_dim, "v_head_dim": s.v_dim, "kv_lora_rank": s.kv_rank,
            "q_lora_rank": s.q_rank or None, "intermediate_size": s.dense_ffn_dim,
            "moe_intermediate_size": s.expert_dim, "n_routed_experts": s.experts,
            "num_experts_per_tok": s.active, "n_shared_experts": s.shared,
            "n_group": s.groups, "topk_group": s.active_groups, "norm_topk_prob": s.normalise,
            "routed_scaling_factor": s.scaling,
            "rms_norm_eps": s.norm_eps, "rope_theta": s.rope_theta}


@dataclasses.dataclass(frozen=True)
class ImportCase:
    name: str
    shape: Shape
    published: dict
    batch: tuple = (2, 9)
    block: int = 0  # edge length of fp8 weights' blocks; 0 for bf16
    seed: int = 1
    dtypes: tuple = ("f32", "f64")

    def tied(self):
        return self.published["tie_word_embeddings"]

    def batch_tensors(self):
        return shapes.random_batch(self.shape, f"{self.name} {self.seed}", self.batch)

    def stored(self):
        """The tensors of the files, and the parameters that they represent."""
        s, files, values = self.shape, {}, {}
        for name, t in shapes.random_parameters(s, f"{self.name} {self.seed}").items():
            if name.endswith(shapes.BIAS):
                files[name] = values[name] = t
            elif self.block and "_proj" in name:
                files[name], files[name + "_scale_inv"], values[name] = quantised(t, self.block)
            else:
                files[name] = t.bfloat16()
                values[name] = files[name].float()
        if self.tied():
            del files["lm_head.weight"]
            values["lm_head.weight"] = values["model.embed_tokens.weight"].clone()
        if not s.q_rank:  # Moonlight has these buffers
            exponent = torch.arange(0, s.rope_dim, 2, dtype=torch.float32) / s.rope_dim
            for layer in range(s.layers):
                files[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = \
                    1.0 / s.rope_theta ** exponent
        if self.published["num_nextn_predict_layers"]:
            files |= predictor(files, s)
        return files, values

    def folder(self):
        folder = FOLDER / self.name
        folder.mkdir(parents=True, exist_ok=True)
        config = self.published | config_keys(self.shape)
        (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        save_file({name: t.contiguous().clone() for name, t in self.stored()[0].items()},
                  folder / "model.safetensors", {"format": "pt"})
        return folder

    def case(self):
        token, target = self.batch_tensors()
        return ({"run": "import", "directory": self.folder()},
                {"batch.token": token, "batch.target": target})

    def merged(self, results):
        """Adds the gradients of tied matrices, since transformers has only their sum."""
        if self.tied() and "gradient.lm_head.weight" in results:
            results["gradient.model.embed_tokens.weight"] = (
                results["gradient.model.embed_tokens.weight"] +
                results.pop("gradient.lm_head.weight"))
        return results

    def oracle(self):
        parameters, (token, target) = self.stored()[1], self.batch_tensors()
        model_case = cases.ModelCase(self.name, self.shape)

        def compute():
            values, routing = model_case.compute((parameters, token, target))
            return self.merged(values), routing

        return Oracle(compute, self.shape.active)

    def transformers(self):
        return self.merged(public.from_directory(self.folder(), *self.batch_tensors()))


def quantised(t, block):
    """float8_e4m3fn codes, scales of blocks, and the weights that they represent."""
    rows, columns = (-(-n // block) for n in t.shape)
    scales = torch.empty(rows, columns)
    across = torch.empty_like(t)
    for i in range(rows):
        for j in range(columns):
            at = (slice(i * block, (i + 1) * block), slice(j * block, (j + 1) * block))
            scales[i, j] = t[at].abs().max() / 448
            across[at] = scales[i, j]
    codes = (t / across).to(torch.float8_e4m3fn)
    return codes, scales, codes.float() * across


def predictor(files, s):
    """A layer for multi-token prediction after the last one, as published."""
    last, own = f"model.layers.{s.layers - 1}.", f"model.layers.{s.layers}."
    tensors = {own + name[len(last):]: t for name, t in files.items() if name.startswith(last)}
    for name in ("enorm", "hnorm", "shared_head.norm"):
        tensors[f"{own}{name}.weight"] = torch.ones(s.dim, dtype=torch.bfloat16)
    tensors[own + "eh_proj.weight"] = shapes.normal("eh_proj", (s.dim, 2 * s.dim)).bfloat16()
    for name in ("embed_tokens", "shared_head.head"):
        tensors[f"{own}{name}.weight"] = files["model.embed_tokens.weight"]
    return tensors


LATENT = Shape(layers=2, q_rank=8, kv_rank=8, dim=16, nope_dim=4, rope_dim=8, v_dim=4,
               dense_ffn_dim=16, expert_dim=8, experts=12, active=3, groups=4, active_groups=2,
               scaling=2.5, **YARN)
FP8 = DEEPSEEK_V3 | {"quantization_config": {
    "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
    "weight_block_size": [8, 8]}}
CASES = [
    ImportCase("import_moonlight", Shape(rope_theta=50000.0, norm_eps=1e-5, experts=6, active=3,
                                         shared=2, scaling=2.446), MOONLIGHT),
    ImportCase("import_tied", Shape(rope_theta=50000.0),
               MOONLIGHT | {"tie_word_embeddings": True}),
    ImportCase("import_deepseek_v3", LATENT, DEEPSEEK_V3),
    ImportCase("import_fp8", LATENT, FP8, block=8),
]
