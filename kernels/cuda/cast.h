#pragma once
// Casts and fills of flat arrays. Emulated; not yet run on a GPU.
//
//   round_to_bf16   y = x to the nearest bf16, ties to even; a NaN stays a NaN
//   widen_to_f32    y = x, exactly
//   fill            y = value
//
// Each byte is read and written once. Synchronised only with `stream`. They throw InternalError if
// an array is not aligned to 16 bytes; a rejected launch throws as described in base/cuda/error.h.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

void round_to_bf16(const float* x, bf16* y, int64_t count, cudaStream_t stream);
void widen_to_f32(const bf16* x, float* y, int64_t count, cudaStream_t stream);
void fill(float* y, float value, int64_t count, cudaStream_t stream);
void fill(bf16* y, bf16 value, int64_t count, cudaStream_t stream);

}  // namespace birkhoff::cuda
