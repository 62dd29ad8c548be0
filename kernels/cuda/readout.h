#pragma once
// The learned read-out of the streams on a CUDA device (formulas and shapes: kernels/readout.h). It
// uses the code that opens streams for a sublayer. Emulated; not yet run on a GPU.
//
//   readout            x → y, u, rho        reads x once
//   readout_backward   dy → dx; dw, dscale, dbase        (b) and (c) of kernels/cuda/mhc_backward.h
//
//   x, dx [tokens, n·width], y, dy [tokens, width] bf16; w, dw [n·width, n], scale [1], base [n],
//   u [tokens, n], rho [tokens] and their gradients f32
//
// Per channel, the forward reads n elements and writes one; the backward reads 2·(n + 1) and writes
// n, in addition to w, coefficient rows and partial sums as in mHC's backward. w is rounded to
// tf32. Sizes, alignment, reproducibility and errors are as in kernels/cuda/mhc.h and
// mhc_backward.h.
#include "kernels/cuda/mhc.h"
#include "kernels/cuda/mhc_backward.h"

namespace birkhoff::cuda {

struct ReadoutArgs {
  const bf16* x = nullptr;
  const float *w = nullptr, *scale = nullptr, *base = nullptr;
  bf16* y = nullptr;
  float *u = nullptr, *rho = nullptr;
  int64_t tokens = 0, width = 0;
  int n = 1;
  float eps = 0, weight_eps = 0;
};
void readout(const ReadoutArgs& args, cudaStream_t stream);

struct ReadoutBackwardArgs {
  const bf16 *dy = nullptr, *x = nullptr;
  const float *w = nullptr, *scale = nullptr, *base = nullptr, *u = nullptr, *rho = nullptr;
  // What the results are added to. Each is null (0), the output itself, or a separate array.
  const float *dw_base = nullptr, *dscale_base = nullptr, *dbase_base = nullptr;
  bf16* dx = nullptr;
  float *dw = nullptr, *dscale = nullptr, *dbase = nullptr;
  float* workspace = nullptr;  // [cut.workspace], aligned to 16 bytes
  int64_t tokens = 0, width = 0;
  int n = 1;
  float weight_eps = 0;
};
void readout_backward(const ReadoutBackwardArgs& args, cudaStream_t stream);

// cut.dphi is the offset of the partial sums of dw.
MhcOpenBackwardCut readout_backward_cut(int64_t tokens, int64_t width, int n);

}  // namespace birkhoff::cuda
