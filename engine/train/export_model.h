#pragma once
// From a checkpoint to a directory that Hugging Face's DeepseekV3ForCausalLM.from_pretrained loads.
// Names, shapes and layout are the same on both sides (docs/import.md); values are copied, or
// rounded once to bf16. The ids that begin, end and pad documents, and the tokenizer.json, go along
// where the checkpoint has them.
#include <functional>
#include <string>

#include "base/dtype.h"
#include "base/files.h"

namespace birkhoff {

struct ExportOptions {
  Path source = {};                      // a checkpoint, or a run directory: its newest
  Path out = {};                         // a directory that must not exist yet
  DType dtype = DType::f32;              // or bf16, of all but the balancing biases
  bool allow_kv_norm_eps = false;        // though transformers computes with another one
  size_t shard_bytes = size_t(4) << 30;  // of tensors a file
  // Told of each tensor: bytes that are written, of so many.
  std::function<void(size_t done, size_t total)> progress = [](size_t, size_t) {};
};

// All or nothing, one tensor in memory at a time. Returns the number of tensors. Throws ConfigError
// (exit code 2) if transformers would compute something else, CheckpointError (4) for a checkpoint
// that is damaged, ResourceError (5) for --out.
size_t export_model(const ExportOptions& options);

}  // namespace birkhoff
