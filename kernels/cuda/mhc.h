#pragma once
// mHC's forward on a CUDA device (formulas and shapes: kernels/mhc.h). Emulated; not yet run on a
// GPU.
//
//   mhc_open        x → h, y = F's RMSNorm of h, post, res, u, rho, rstd     reads x once
//   mhc_close       x, f, post, res → x'
//   mhc_close_open  both in one pass: writes x' and does not read it back; bitwise identical to the
//                   two calls
//
//   x, x' [tokens, n·width], f, h, y [tokens, width] bf16; phi [n·width, K], alpha [3], b [K],
//   gain [width], post [tokens, n], res [tokens, n²], u [tokens, K], rho, rstd [tokens] f32;
//   K = n² + 2n. y = gain ⊙ h·rstd, rstd = rsqrt(mean(h²) + norm_eps), of h as rounded to bf16.
//
// h and y may each be null (not wanted). n is 1, 2, 4 or 8 and width a multiple of 8, at most
// kMhcMostWidth where streams are opened. Addresses are multiples of 16. Inputs and outputs must
// not overlap. The choice of kernel changes no bit. Arithmetic is in f32, except that phi is
// rounded to tf32 in v·phi (where x is exact). A token's bits depend only on that token and the
// weights, not on its position or the number of tokens. Synchronised only with `stream`. Throws
// InternalError for other sizes and addresses; a rejected launch throws as described in
// base/cuda/error.h.
#include "kernels/cuda/sinkhorn_form.h"

namespace birkhoff::cuda {

inline constexpr int64_t kMhcMostWidth = 2560;

struct MhcOpenArgs {
  const bf16* x = nullptr;
  const float *phi = nullptr, *alpha = nullptr, *b = nullptr, *gain = nullptr;
  bf16 *h = nullptr, *y = nullptr;
  float *post = nullptr, *res = nullptr, *u = nullptr, *rho = nullptr, *rstd = nullptr;
  int64_t tokens = 0, width = 0;
  int n = 1;
  float eps = 0, norm_eps = 0;
  SinkhornHow sinkhorn = {};
  int capability = 80;  // compute capability, 10·major + minor; from 90, wide rows use clusters
};
void mhc_open(const MhcOpenArgs& args, cudaStream_t stream);

struct MhcCloseArgs {
  const bf16 *x = nullptr, *f = nullptr;
  const float *post = nullptr, *res = nullptr;
  bf16* y = nullptr;  // x'
  int64_t tokens = 0, width = 0;
  int n = 1;
};
void mhc_close(const MhcCloseArgs& args, cudaStream_t stream);

// REQUIRES open.x == close.y and the same sizes (InternalError).
void mhc_close_open(const MhcCloseArgs& close, const MhcOpenArgs& open, cudaStream_t stream);

// How a call's work is divided among blocks: a pure function of the arguments.
struct MhcOpenCut {
  int cluster = 1;  // blocks that share the channels of their tokens
  int tokens = 0;   // per cluster, which reads phi once
  int64_t blocks = 0;
  int steps = 0;            // of 256 channels, shared by the blocks of a cluster
  size_t shared_bytes = 0;  // dynamic shared memory for the rows
};
MhcOpenCut mhc_open_cut(const MhcOpenArgs& args);

}  // namespace birkhoff::cuda
