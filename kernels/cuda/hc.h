#pragma once
// Hyper-connections (HC) on a CUDA device (formulas and shapes: kernels/hc.h). Emulated; not yet
// run on a GPU. Streams are closed by mhc_close and its backward (kernels/cuda/mhc.h,
// mhc_backward.h).
//
//   hc_open        x → h, y = F's RMSNorm of h, post, res, u, stream_rstd, rstd    reads x once
//   hc_close_open  mhc_close and hc_open of what it makes, in one pass, with the bits of the two
//
//   theta [n + 2, width], alpha [3], b [K], stream_rstd [tokens, n] f32; all else is as in
//   kernels/cuda/mhc.h: sizes, dtypes, what may be null, alignment, which bits depend on what, and
//   what throws. theta is rounded to tf32 in its products with x.
//
// Static HC: theta, alpha, u and stream_rstd are null, all four (InternalError if some are).
#include "kernels/cuda/mhc.h"

namespace birkhoff::cuda {

struct HcOpenArgs {
  const bf16* x = nullptr;
  const float *theta = nullptr, *alpha = nullptr, *b = nullptr, *gain = nullptr;
  bf16 *h = nullptr, *y = nullptr;
  float *post = nullptr, *res = nullptr, *u = nullptr, *stream_rstd = nullptr, *rstd = nullptr;
  int64_t tokens = 0, width = 0;
  int n = 1;
  float eps = 0, norm_eps = 0;
};
void hc_open(const HcOpenArgs& args, cudaStream_t stream);
void hc_close_open(const MhcCloseArgs& close, const HcOpenArgs& open, cudaStream_t stream);
MhcOpenCut hc_open_cut(const HcOpenArgs& args);

}  // namespace birkhoff::cuda
