#pragma once
// What the residual streams do, on a CUDA device (formula: kernels/stream_statistics.h). Emulated;
// not yet run on a GPU.
//
//   x [tokens, n·width] bf16, res [tokens, n²] f32, when i32 [1], position i32 [tokens],
//   base, y [n² + 2] f64
//   y = base + Σ_t (res_t, alike_t, 1) over all t with position[t] ≥ 0, where when[0] ≠ 0;
//   y = base, and x, res and position are not read, where when[0] = 0
//
// base may be null (0), y or elsewhere. position is read once, and so are x and res of every row
// that is not padding; x is not read where n is 1. Products of streams are sums in f32: right where
// their squares are within f32, rms from 1e-17 to 1e17; all behind them is in f64, in an order that
// the number of tokens alone decides: bits repeat. n is 1, 2, 4 or 8, width a multiple of 8, x is
// aligned to 16 bytes. Not synchronised with anything but `stream`. Throws InternalError for other
// sizes and addresses; of a launch that is refused what base/cuda/error.h says.
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
