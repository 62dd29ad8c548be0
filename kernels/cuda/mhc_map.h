#pragma once
// Device functions that turn a token's u into mHC's coefficients, in a block or in a cluster. This
// is the part of the map M of open_streams.h that does not depend on where x is kept.
#include "kernels/cuda/mhc.h"
#include "kernels/cuda/sinkhorn.h"

namespace birkhoff::cuda {

struct MhcMap {
  using Args = MhcOpenArgs;

  template <int kN>
  static __device__ float coefficient(const Args& a, float u, int column) {
    const int group = column / kN < 2 ? column / kN : 2;
    return fmaf(load<Cache::constant>(a.alpha + group), u, load<Cache::constant>(a.b + column));
  }
  static __device__ float pre(const Args& a, float logit) {
    return sigmoid(logit) + a.sinkhorn.pre_eps();
  }
  static __device__ float post(float logit) { return 2.0f * sigmoid(logit); }
  template <int kN>
  static __device__ void res(const Args& a, float (&row)[kN]) {
    sinkhorn(row, a.sinkhorn);
  }
};

}  // namespace birkhoff::cuda
