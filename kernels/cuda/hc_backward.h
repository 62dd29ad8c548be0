#pragma once
// The backward of hyper-connections on a CUDA device (formulas and shapes: kernels/hc.h), in the
// three passes of kernels/cuda/mhc_backward.h; pass (a) is shared. Emulated; not yet run on a GPU.
//
//   hc_open_backward   (b)  dpre, and from it dH~, dz and ds; dalpha, db
//                      (c)  dx, dtheta
//
// Memory traffic, nullable arguments, the order of sums and errors are as described there, with
// theta in place of phi: (n + 2)·C floats, read by each split, and as many for each partial sum of
// dtheta. theta is rounded to tf32 in its product with dz. In static HC theta, alpha, u,
// stream_rstd, dtheta and dalpha are null.
#include "kernels/cuda/mhc_backward.h"

namespace birkhoff::cuda {

struct HcOpenBackwardArgs {
  const bf16 *x = nullptr, *dh = nullptr, *dlink = nullptr;
  const float *theta = nullptr, *alpha = nullptr, *b = nullptr;
  const float *u = nullptr, *stream_rstd = nullptr, *dpost = nullptr, *dres = nullptr;
  // Each is null (0), the output itself, or a separate array.
  const float *dtheta_base = nullptr, *dalpha_base = nullptr, *db_base = nullptr;
  bf16* dx = nullptr;
  float *dtheta = nullptr, *dalpha = nullptr, *db = nullptr;
  float* workspace = nullptr;  // [cut.workspace], aligned to 16 bytes
  int64_t tokens = 0, width = 0;
  int n = 0;
};
void hc_open_backward(const HcOpenBackwardArgs& args, cudaStream_t stream);

// cut.dphi is the offset of the partial sums of dtheta.
MhcOpenBackwardCut hc_open_backward_cut(int64_t tokens, int64_t width, int n);

}  // namespace birkhoff::cuda
