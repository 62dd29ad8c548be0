#pragma once
// Rotary positions of a config, as DeepSeek-V3 and transformers compute them: frequencies and
// number of rotated features for kernels/rope.h, and the scale of attention, which yarn changes
// too. Thread-safe: no state.
//
// With model.rope_scaling: yarn, g(w) = 1 + 0.1·w·ln(factor):
//   ramp       from c(beta_fast) to c(beta_slow), c(turns) = dims·ln(L / (2π·turns)) / (2·ln theta)
//              for L original positions; widened to whole pairs with rope_truncate; then
//              low = max(low, 0), high = min(high, dims − 1), and high = low + 0.001 if both are
//              equal
//   magnitude  rope_attention_factor, else g(mscale) / g(mscale_all_dim) where both are given,
//              else g(1)
//   attention  scale·g(mscale_all_dim)² where mscale_all_dim is given
#include "engine/config/config.h"
#include "kernels/rope.h"

namespace birkhoff::nn {

// For `heads` heads with rope_dim rotated features each.
Rope::Desc rotary(const ModelConfig& model, int64_t heads);

// The factor of q·k: 1 / √(nope_dim + rope_dim), times yarn's factor.
double attention_scale(const ModelConfig& model);

}  // namespace birkhoff::nn
