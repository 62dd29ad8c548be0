#pragma once
// The passes of mhc_open_backward and hc_open_backward, one behind the other in a stream; not
// checked, not called by others.
#include "kernels/cuda/hc_backward.h"
#include "kernels/cuda/mhc_layout.h"
#include "kernels/cuda/with_streams.h"

namespace birkhoff::cuda {

void mhc_coefficients_backward(const MhcOpenBackwardArgs& args, cudaStream_t stream);  // (b)
void hc_coefficients_backward(const HcOpenBackwardArgs& args, cudaStream_t stream);

// sum [count] = base + Σ of parts [splits, count], in order. count is a multiple of 4, base may be
// null; addresses are aligned to 16 bytes.
struct SplitSums {
  const float* parts;
  unsigned splits;
  int64_t count;
  const float* base;
  float* sum;
};
void sum_splits(const SplitSums& args, cudaStream_t stream);

}  // namespace birkhoff::cuda
