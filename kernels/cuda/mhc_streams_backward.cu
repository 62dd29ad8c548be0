// Pass (c) of mHC: phi has a row for each channel of each stream, multiplied by all of a token's
// dz.
#include "kernels/cuda/backward_streams.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

struct Mhc {
  using Args = MhcOpenBackwardArgs;
  static constexpr bool kPerStream = false, kSublayer = true;

  static __device__ const float* weights(const Args& a) { return a.phi; }
  template <int kN>
  static __device__ int64_t index(int64_t width, int64_t stream, int64_t channel, int64_t column) {
    return (stream * width + channel) * MhcRow(kN).columns + column;
  }
};

}  // namespace

void mhc_open_backward(const MhcOpenBackwardArgs& a, cudaStream_t stream) {
  const char* name = "mhc_open_backward";
  require_streams(name, a.n, a.width);
  require_given(name, {a.x, a.dh, a.dlink, a.dx, a.phi, a.dphi, a.workspace});
  require_aligned(name, {a.dphi_base});
  require_dres(a);
  if (mhc_backward_in_two_passes(a)) return mhc_open_backward_cluster(a, stream);
  const MhcOpenBackwardCut cut = mhc_open_backward_cut(a);
  mhc_coefficients_backward(a, stream);
  launch_streams_backward<Mhc>("mhc_streams_backward", a, cut, stream);
  sum_splits({a.workspace + cut.dphi, cut.splits, cut.weights, a.dphi_base, a.dphi}, stream);
}

}  // namespace birkhoff::cuda
