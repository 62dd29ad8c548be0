#pragma once
// RMSNorm on a CUDA device (formula and shapes: kernels/rms_norm.h). Emulated; not yet run on a
// GPU.
//
//   y = base + gain ⊙ x·rstd,   rstd = rstd_base + rsqrt(mean(x²) + eps)
//   x, base, y [tokens, width] bf16, gain [width] f32, rstd, rstd_base [tokens] f32
//
// base and rstd_base may be null (0) or the output itself; y or rstd may be null (not wanted).
// Arithmetic is in f32. A row's bits depend only on that row, gain and width. Synchronised only
// with `stream`. A rejected launch throws as described in base/cuda/error.h.
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

// How a call's work is divided among blocks: a pure function of the arguments.
struct RmsNormCut {
  // 16-byte packs of a row that each thread keeps in registers; 0: the row is read twice, element
  // by element.
  int packs = 0;
  unsigned threads = 0, blocks = 0;
  int64_t rows = 0;  // per block, which reads gain once
};
RmsNormCut rms_norm_cut(const RmsNormArgs& args);

}  // namespace birkhoff::cuda
