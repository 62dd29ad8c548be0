#pragma once
// The backward of hyper-connections on a CUDA device (formulas and shapes: kernels/hc.h), in the
// three passes of kernels/cuda/mhc_backward.h, of which (a) is the same. Emulated; not yet run on a
// GPU.
//
//   hc_open_backward   (b)  dpre, and by it dH~, dz and ds; dalpha, db
//                      (c)  dx, dtheta
//
// What is moved, what may be null, how sums are ordered and what throws is as there, with theta for
// phi: (n + 2)·C floats, read by each split, and as many for each partial sum of dtheta. theta is
// rounded to tf32 in its product with dz. Static HC: theta, alpha, u, stream_rstd, dtheta and
// dalpha are null.
#include "kernels/cuda/mhc_backward.h"

namespace birkhoff::cuda {

struct HcOpenBackwardArgs {
  const bf16 *x = nullptr, *dh = nullptr, *dlink = nullptr;
  const float *theta = nullptr, *alpha = nullptr, *b = nullptr;
  const float *u = nullptr, *stream_rstd = nullptr, *dpost = nullptr, *dres = nullptr;
  // Null or the output itself, or elsewhere.
  const float *dtheta_base = nullptr, *dalpha_base = nullptr, *db_base = nullptr;
  bf16* dx = nullptr;
  float *dtheta = nullptr, *dalpha = nullptr, *db = nullptr;
  float* workspace = nullptr;  // [cut.workspace], aligned to 16 bytes
  int64_t tokens = 0, width = 0;
  int n = 0;
};
void hc_open_backward(const HcOpenBackwardArgs& args, cudaStream_t stream);

// cut.dphi is where partial sums of dtheta begin.
MhcOpenBackwardCut hc_open_backward_cut(int64_t tokens, int64_t width, int n);

}  // namespace birkhoff::cuda
