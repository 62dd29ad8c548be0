#pragma once
// The exact sum of squares and the clip factor (kernels/norm.h), with the bits of the CPU.
// Emulated; not yet run on a GPU.
//
//   squared_sum   g [count] f32 → acc i64 [kNormLimbs] = base + Σ g², canonical for this call
//   clip_scale    acc → scale f32 [1], norm f64 [1]
//
// base may be null (0), acc or elsewhere. Reads g once. Sums are of integers: neither the cut nor
// the order decides a bit. Not synchronised with anything but `stream`. Throw InternalError if g is
// not aligned to 16 bytes; of a launch that is refused what base/cuda/error.h says.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

inline constexpr int kNormLimbs = 21;  // of kernels/norm.h: limbs, and elements that are not finite

struct SquaredSumArgs {
  const float* g = nullptr;
  int64_t count = 0;
  const int64_t* base = nullptr;
  int64_t* acc = nullptr;
  int64_t* workspace = nullptr;  // [squared_sum_blocks(count), kNormLimbs]
};
void squared_sum(const SquaredSumArgs& args, cudaStream_t stream);
unsigned squared_sum_blocks(int64_t count);

// max_norm 0: no clipping.
struct ClipScaleArgs {
  const int64_t* acc = nullptr;
  double max_norm = 1;
  float* scale = nullptr;
  double* norm = nullptr;
};
void clip_scale(const ClipScaleArgs& args, cudaStream_t stream);

}  // namespace birkhoff::cuda
