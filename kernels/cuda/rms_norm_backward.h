#pragma once
// The backward of RMSNorm on a CUDA device (formula and shapes: kernels/rms_norm.h). Emulated; not
// yet run on a GPU.
//
//   dx = base + rstd·(gain⊙dy − x·rstd²·mean(gain⊙dy⊙x)),   dgain = base + Σ_t dy⊙x·rstd
//   dy, x, dx [tokens, width] bf16, gain, dgain [width] f32, rstd [tokens] f32
//
// Reads x and dy once. The width is a multiple of 8, 8192 at most; rows are aligned to 16 bytes. A
// base may be null (0), the output itself or elsewhere. A row of dx has bits that are a function of
// that row, gain and width; dgain is summed in an order that the number of tokens decides. Not
// synchronised with anything but `stream`. Throws InternalError if an argument is none of these; of
// a launch that is refused what base/cuda/error.h says.
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

// How a call is cut: a pure function of tokens and width.
struct RmsNormBackwardCut {
  int packs = 0;  // of 8 elements, that a thread keeps of a row
  unsigned threads = 0, blocks = 0;
  int64_t rows = 0;  // of a block
};
RmsNormBackwardCut rms_norm_backward_cut(int64_t tokens, int64_t width);

}  // namespace birkhoff::cuda
