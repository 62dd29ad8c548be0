#pragma once
// Statistics of the residual streams on a CUDA device (formula: kernels/stream_statistics.h).
// Emulated; not yet run on a GPU.
//
//   x [tokens, n·width] bf16, res [tokens, n²] f32, when i32 [1], position i32 [tokens],
//   base, y [n² + 2] f64
//   y = base + Σ_t (res_t, alike_t, 1) over all t with position[t] ≥ 0, if when[0] ≠ 0;
//   y = base, without reading x, res and position, if when[0] = 0
//
// base may be null (0), y, or a separate array. position is read once, as are x and res of every
// row that is not padding; x is not read if n is 1. Products of streams are summed in f32, which is
// accurate as long as their squares are in the range of f32 (rms from 1e-17 to 1e17). Everything
// after that is in f64, in an order that depends only on the number of tokens, so bits are
// reproducible. n is 1, 2, 4 or 8, width a multiple of 8, and x is aligned to 16 bytes.
// Synchronised only with `stream`. Throws InternalError for other sizes and addresses; a rejected
// launch throws as described in base/cuda/error.h.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

struct StreamStatisticsArgs {
  const bf16* x = nullptr;
  const float* res = nullptr;
  const int32_t* when = nullptr;
  const int32_t* position = nullptr;
  const double* base = nullptr;
  double* y = nullptr;
  double* workspace = nullptr;  // [cut.blocks, n² + 2]
  int64_t tokens = 0, width = 0;
  int n = 1;
};
void stream_statistics(const StreamStatisticsArgs& args, cudaStream_t stream);

struct StreamStatisticsCut {
  int64_t block_tokens = 0;
  unsigned blocks = 0;
};
StreamStatisticsCut stream_statistics_cut(int64_t tokens);

}  // namespace birkhoff::cuda
