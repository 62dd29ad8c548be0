#pragma once
// Elementwise sum or maximum of several ranks' values, in rank order: Σ is ((x_0 + x_1) + x_2) + …
// in the element type; bf16 is summed in f32 and rounded once. Integers wrap. A NaN counts as the
// largest. Stateless.
#include <span>

#include "comm/communicator.h"

namespace birkhoff {

// `inputs` in rank order, at least one, `count` elements each; `out` may be one of them.
void reduce(Reduction reduction, DType dtype, std::span<const void* const> inputs, void* out,
            int64_t count);

}  // namespace birkhoff
