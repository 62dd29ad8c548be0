#pragma once
// Block-scaled fp8 weights, as DeepSeek-V3 is published: a matrix W of f8_e4m3 with W_scale_inv
// [⌈rows / R⌉, ⌈columns / C⌉], one factor per block of R × C elements; the last blocks of a row or
// column may be smaller.
//
//   weight[i, j] = W[i, j] · W_scale_inv[i / R, j / C]        in f32
//
// Thread-safe: no state.
#include <span>
#include <string_view>

#include "base/shape.h"
#include "engine/exchange/hf_fields.h"

namespace birkhoff {

inline constexpr std::string_view kScaleSuffix = "_scale_inv";  // appended to the weight's name

struct HfBlocks {
  int64_t rows = 0, columns = 0;  // R and C; 0: weights are not quantised
  bool operator==(const HfBlocks&) const = default;
};

// Reads quantization_config of config.json. Throws JsonError; collects in `fields` what is not
// supported. Another quant_method is reported alone.
HfBlocks read_hf_blocks(HfFields& fields);

// REQUIRES a matrix, and blocks of 1 × 1 or more.
Shape scale_shape(const Shape& weight, const HfBlocks& blocks);

// Multiplies each weight by its block's factor. REQUIRES `scale` of scale_shape().
void scale_blocks(std::span<float> weight, const Shape& shape, std::span<const float> scale,
                  const HfBlocks& blocks);

}  // namespace birkhoff
