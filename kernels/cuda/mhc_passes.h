#pragma once
// The passes of mhc_open_backward, hc_open_backward and readout_backward, which enqueue them in one
// stream. They do not check their arguments and are not called by others.
#include "kernels/cuda/hc_backward.h"
#include "kernels/cuda/mhc_layout.h"
#include "kernels/cuda/with_streams.h"

namespace birkhoff::cuda {

void mhc_coefficients_backward(const MhcOpenBackwardArgs& args, cudaStream_t stream);  // (b)
void hc_coefficients_backward(const HcOpenBackwardArgs& args, cudaStream_t stream);

// Throws InternalError unless dres is given in three passes, and null in two.
void require_dres(const MhcOpenBackwardArgs& args);

// (b) and (c) in one pass (sm_90/mhc_open_backward_cluster.cu), for at most 4 streams and
// kMhcMostWidth channels, without dres. REQUIRES what mhc_open_backward does. In a build without an
// architecture that has clusters, sm_90/no_sm_90.cpp defines it to throw InternalError.
void mhc_open_backward_cluster(const MhcOpenBackwardArgs& args, cudaStream_t stream);
MhcOpenBackwardCut mhc_open_backward_cluster_cut(const MhcOpenBackwardArgs& args);

// sum [count] = base + Σ of parts [splits, count], added in order. count is a multiple of 4, base
// may be null, and addresses are aligned to 16 bytes.
struct SplitSums {
  const float* parts;
  unsigned splits;
  int64_t count;
  const float* base;
  float* sum;
};
void sum_splits(const SplitSums& args, cudaStream_t stream);

}  // namespace birkhoff::cuda
