#pragma once
// The backward of RMSNorm on a CUDA device (formula and shapes: kernels/rms_norm.h). Emulated; not
// yet run on a GPU.
//
//   dx = base + rstd·(gain⊙dy − x·rstd²·mean(gain⊙dy⊙x)),   dgain = base + Σ_t dy⊙x·rstd
//   dy, x, dx [tokens, width] bf16, gain, dgain [width] f32, rstd [tokens] f32
//
// Reads x and dy once. The width is a multiple of 8, at most 8192; rows are aligned to 16 bytes. A
// base may be null (0), the output itself, or a separate array. The bits of a row of dx depend only
// on that row, gain and width; dgain is summed in an order that depends on the number of tokens.
// Synchronised only with `stream`. Throws InternalError for any other argument; a rejected launch
// throws as described in base/cuda/error.h.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

struct RmsNormBackwardArgs {
  const bf16 *dy = nullptr, *x = nullptr;
  const float *gain = nullptr, *rstd = nullptr;
  const bf16* dx_base = nullptr;
  const float* dgain_base = nullptr;
  bf16* dx = nullptr;
  float* dgain = nullptr;
  float* workspace = nullptr;  // [cut.blocks, width]
  int64_t tokens = 0, width = 0;
};
void rms_norm_backward(const RmsNormBackwardArgs& args, cudaStream_t stream);

// How a call's work is divided among blocks: a pure function of tokens and width.
struct RmsNormBackwardCut {
  int packs = 0;  // packs of 8 elements of a row that each thread keeps in registers
  unsigned threads = 0, blocks = 0;
  int64_t rows = 0;  // per block
};
RmsNormBackwardCut rms_norm_backward_cut(int64_t tokens, int64_t width);

}  // namespace birkhoff::cuda
