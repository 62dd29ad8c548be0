#pragma once
// AdamW over a flat shard, in one pass (formula and what denormals cost: kernels/adamw.h).
// Emulated; not yet run on a GPU.
//
//   g, p, m, v [count], hyper [4], scale [1]   all f32, on the device; p, m, v in place
//
// Reads 16 bytes an element, writes 12. A scale that is Inf or NaN: nothing changes. Denormal
// numbers count; an element's bits are a function of that element alone. Not synchronised with
// anything but `stream`. Throws InternalError if g, p, m or v is not aligned to 16 bytes; of a
// launch that is refused what base/cuda/error.h says.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

struct AdamWArgs {
  const float *g = nullptr, *hyper = nullptr, *scale = nullptr;
  float *p = nullptr, *m = nullptr, *v = nullptr;
  int64_t count = 0;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-20, weight_decay = 0;
};
void adamw(const AdamWArgs& args, cudaStream_t stream);

}  // namespace birkhoff::cuda
