#pragma once
// Hyper-connections (HC) on a CUDA device (formulas and shapes: kernels/hc.h). Emulated; not yet
// run on a GPU. mhc_close and its backward close the streams (kernels/cuda/mhc.h, mhc_backward.h).
//
//   hc_open        x → h, y = F's RMSNorm of h, post, res, u, stream_rstd, rstd    reads x once
//   hc_close_open  mhc_close, then hc_open of its result, in one pass; bitwise identical to both
//
//   theta [n + 2, width], alpha [3], b [K], stream_rstd [tokens, n] f32. Sizes, dtypes, nullable
//   arguments, alignment, reproducibility and errors are as in kernels/cuda/mhc.h. theta is rounded
//   to tf32 in its products with x.
//
// In static HC theta, alpha, u and stream_rstd are all null (InternalError if only some are).
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
