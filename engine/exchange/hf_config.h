#pragma once
// Reads and writes config.json of a DeepseekV3 model as Hugging Face's `transformers` does
// (docs/import.md has the table of keys). Reads only what the model here computes too; an unknown
// key is refused, since it may change the function. Thread-safe: no state.
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "engine/checkpoint/tokenizer_identity.h"
#include "engine/config/config.h"
#include "engine/exchange/hf_blocks.h"

namespace birkhoff {

inline constexpr std::string_view kHfConfigName = "config.json";
inline constexpr size_t kMaxHfConfig = size_t(1) << 20;
// transformers builds the norms of both latents with its class's default epsilon, whatever a config
// says (modeling_deepseek_v3.py: DeepseekV3RMSNorm(config.kv_lora_rank), and of q_lora_rank).
inline constexpr double kHfKvNormEps = 1e-6;

struct HfModel {
  ModelConfig model;      // residual: plain; ranges are not checked
  MoeConfig moe;          // likewise
  int64_t positions = 0;  // max_position_embeddings
  // Whether rotary pairs are (2i, 2i + 1), as in kernels/rope.h; else (i, i + rope_dim / 2).
  bool interleaved = true;
  SpecialTokens special;   // bos_token_id, eos_token_id, pad_token_id
  bool tied = false;       // tie_word_embeddings: the head is the embedding
  int64_t mtp_layers = 0;  // num_nextn_predict_layers: layers after the model's, not read
  HfBlocks blocks = {};    // from quantization_config

  bool operator==(const HfModel&) const = default;
};

// Throws CheckpointError (exit code 4) if the text is no JSON or a field is missing or of another
// type; ConfigError (2) with a line for each feature that is not supported. Every line begins with
// `place`.
HfModel parse_hf_config(std::string_view text, std::string_view place);

// The config.json of a plain model with tensors of `dtype` (f32 or bf16); rotary pairs interleaved.
// Throws ConfigError with a line for each thing that `transformers` would compute differently.
std::string hf_config_text(const Config& config, DType dtype, bool allow_kv_norm_eps = false,
                           const SpecialTokens& special = {});

}  // namespace birkhoff
