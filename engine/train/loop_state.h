#pragma once
// What a training loop carries from step to step besides the tensors. It is saved with a
// checkpoint, so that a resumed run continues as the unbroken one would have.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/checkpoint/manifest.h"
#include "engine/data/samples.h"

namespace birkhoff {

struct LoopState {
  int64_t samples = 0;  // consumed: the next step's first sample
  int64_t tokens = 0;   // trained on
  // The number of ranks that took the last step, if bits depend on it (train.reduction_groups: 1);
  // 0: they do not, or it is not known (older checkpoints).
  int64_t ranks = 0;
  // Tokens that each expert of each MoE layer received since the last evaluation.
  std::vector<std::vector<int64_t>> load;

  void take_step(const std::vector<std::vector<int64_t>>& step_load, int64_t step_samples,
                 int64_t step_tokens);
  bool operator==(const LoopState&) const = default;
};

std::map<std::string, std::string> to_text(const LoopState& state);
// Reads a checkpoint's state. Throws CheckpointError (exit code 4) if a number is missing or is
// none.
LoopState parse_loop_state(const CheckpointInfo& info);

// Tells which windows of the data a batch holds at which positions of the step: a sum of hashes, so
// that the parts of several ranks add up. `first` is the position of the batch's first sequence.
// Compare the low 48 bits: they fit in a double.
inline constexpr uint64_t kWindowHashMask = (uint64_t(1) << 48) - 1;
uint64_t window_hash(const Batch& batch, int64_t first);

}  // namespace birkhoff
