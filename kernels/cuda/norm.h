#pragma once
// The exact sum of squares and the clip factor (kernels/norm.h), bitwise identical to the CPU's.
// Emulated; not yet run on a GPU.
//
//   squared_sum   g [count] f32 → acc i64 [kNormLimbs] = base + Σ g², canonical for this call
//   clip_scale    acc → scale f32 [1], norm f64 [1]
//
// base may be null (0), acc, or a separate array. g is read once. The sums are of integers, so
// neither their order nor the number of blocks affects the bits. Synchronised only with `stream`.
// squared_sum throws InternalError if g is not aligned to 16 bytes; a rejected launch throws as
// described in base/cuda/error.h.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

// As in kernels/norm.h: the limbs, followed by the number of elements that are not finite.
inline constexpr int kNormLimbs = 21;

struct SquaredSumArgs {
  const float* g = nullptr;
  int64_t count = 0;
  const int64_t* base = nullptr;
  int64_t* acc = nullptr;
  int64_t* workspace = nullptr;  // [squared_sum_blocks(count), kNormLimbs]
};
void squared_sum(const SquaredSumArgs& args, cudaStream_t stream);
unsigned squared_sum_blocks(int64_t count);

// A max_norm of 0 means no clipping.
struct ClipScaleArgs {
  const int64_t* acc = nullptr;
  double max_norm = 1;
  float* scale = nullptr;
  double* norm = nullptr;
};
void clip_scale(const ClipScaleArgs& args, cudaStream_t stream);

}  // namespace birkhoff::cuda
