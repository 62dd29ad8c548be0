// Pass (c) of HC: theta has a row for each coefficient of a stream, and all streams share it.
#include "kernels/cuda/backward_streams.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

struct Hc {
  using Args = HcOpenBackwardArgs;
  static constexpr bool kPerStream = true, kSublayer = true;

  static __device__ const float* weights(const Args& a) { return a.theta; }
  template <int kN>
  static __device__ int64_t index(int64_t width, int64_t, int64_t channel, int64_t column) {
    return column * width + channel;
  }
};

}  // namespace

void hc_open_backward(const HcOpenBackwardArgs& a, cudaStream_t stream) {
  const char* name = "hc_open_backward";
  require_streams(name, a.n, a.width);
  require_given(name, {a.x, a.dh, a.dlink, a.dx, a.workspace});
  require_all_or_none(name, "theta, alpha, u, stream_rstd, dtheta and dalpha",
                      {a.theta, a.alpha, a.u, a.stream_rstd, a.dtheta, a.dalpha});
  require_aligned(name, {a.theta, a.dtheta});
  require_aligned(name, {a.dtheta_base});
  const MhcOpenBackwardCut cut = hc_open_backward_cut(a.tokens, a.width, a.n);
  hc_coefficients_backward(a, stream);
  launch_streams_backward<Hc>("hc_streams_backward", a, cut, stream);
  if (a.theta)
    sum_splits({a.workspace + cut.dphi, cut.splits, cut.weights, a.dtheta_base, a.dtheta}, stream);
}

}  // namespace birkhoff::cuda
