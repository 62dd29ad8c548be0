#pragma once
// The ends of the residual streams on a CUDA device: from one stream to n and back (formulas:
// kernels/streams.h). Emulated; not yet run on a GPU.
//
//   copy_streams     x [tokens, C] → y [tokens, n·C]      spread_streams   the same / n
//   sum_streams      x [tokens, n·C] → y [tokens, C]      mean_streams     the same / n
//
// y = base + f(x), all bf16; base may be null (0), y, or a separate array. Sums are in f32, in the
// order of the streams, and rounded once; without a base a copy is exact. x and base are read once,
// y is written once. n is 1, 2, 4 or 8, C a multiple of 8, and addresses are multiples of 16.
// Synchronised only with `stream`. They throw InternalError for other sizes and addresses; a
// rejected launch throws as described in base/cuda/error.h.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

struct StreamEndsArgs {
  const bf16 *x = nullptr, *base = nullptr;
  bf16* y = nullptr;
  int64_t tokens = 0, width = 0;  // C
  int n = 1;
};
void copy_streams(const StreamEndsArgs& args, cudaStream_t stream);
void sum_streams(const StreamEndsArgs& args, cudaStream_t stream);
void spread_streams(const StreamEndsArgs& args, cudaStream_t stream);
void mean_streams(const StreamEndsArgs& args, cudaStream_t stream);

}  // namespace birkhoff::cuda
