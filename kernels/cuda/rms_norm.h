#pragma once
// RMSNorm on a CUDA device (formula and shapes: kernels/rms_norm.h). Emulated; not yet run on a
// GPU.
//
//   y = base + gain ⊙ x·rstd,   rstd = rstd_base + rsqrt(mean(x²) + eps)
//   x, base, y [tokens, width] bf16, gain [width] f32, rstd, rstd_base [tokens] f32
//
// base and rstd_base may be null (0) or the output itself; y or rstd may be null (not wanted).
// Arithmetic in f32. A row's bits are a function of that row, gain and width. Not synchronised with
// anything but `stream`. Throws of a launch that is refused what base/cuda/error.h says.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

struct RmsNormArgs {
  const bf16* x = nullptr;
  const float* gain = nullptr;
  const bf16* base = nullptr;
  const float* rstd_base = nullptr;
  bf16* y = nullptr;
  float* rstd = nullptr;
  int64_t tokens = 0, width = 0;
  float eps = 0;
};

void rms_norm(const RmsNormArgs& args, cudaStream_t stream);

// How a call is cut: a pure function of what is to be done.
struct RmsNormCut {
  // Accesses of 16 bytes a thread keeps a row in; 0: element by element, each row read twice.
  int packs = 0;
  unsigned threads = 0, blocks = 0;
  int64_t rows = 0;  // of a block, which reads gain once
};
RmsNormCut rms_norm_cut(const RmsNormArgs& args);

}  // namespace birkhoff::cuda
