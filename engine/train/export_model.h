#pragma once
// Exports a checkpoint to a directory that Hugging Face's DeepseekV3ForCausalLM.from_pretrained
// loads. Names, shapes and layout are the same on both sides (docs/import.md); values are copied,
// or rounded once to bf16. The ids that begin, end and pad documents, and the tokenizer.json, are
// exported if the checkpoint has them.
#include <functional>
#include <string>

#include "base/dtype.h"
#include "base/files.h"

namespace birkhoff {

struct ExportOptions {
  Path source = {};                      // a checkpoint, or a run directory: its newest
  Path out = {};                         // a directory that must not exist yet
  DType dtype = DType::f32;              // or bf16; balancing biases stay f32
  bool allow_kv_norm_eps = false;        // although transformers computes with another
  size_t shard_bytes = size_t(4) << 30;  // tensor bytes per file
  // Called for each tensor with the bytes written so far, and with their total.
  std::function<void(size_t done, size_t total)> progress = [](size_t, size_t) {};
};

// All or nothing, with one tensor in memory at a time. Returns the number of tensors. Throws
// ConfigError (exit code 2) if transformers would compute something else, CheckpointError (4) for a
// checkpoint that is damaged, ResourceError (5) for --out.
size_t export_model(const ExportOptions& options);

}  // namespace birkhoff
