#pragma once
// AdamW over a flat shard, in one pass (formula and the cost of denormals: kernels/adamw.h).
// Emulated; not yet run on a GPU.
//
//   g, p, m, v [count], hyper [4], scale [1]   all f32, on the device; p, m, v in place
//
// Reads 16 bytes per element and writes 12. If scale is Inf or NaN, nothing changes. Denormals are
// not flushed to zero. An element's bits depend on that element alone. Synchronised only with
// `stream`. Throws InternalError if g, p, m or v is not aligned to 16 bytes; a rejected launch
// throws as described in base/cuda/error.h.
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
