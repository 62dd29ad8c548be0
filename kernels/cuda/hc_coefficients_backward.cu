// Pass (b) of HC: tanh, and a norm for each stream; static HC has neither.
#include <cmath>

#include "kernels/cuda/backward_sums.h"

namespace birkhoff::cuda {
namespace {

struct Hc {
  using Args = HcOpenBackwardArgs;
  static constexpr bool kPerStream = true, kSublayer = true;
  static constexpr unsigned kAlphas = 3;

  static __device__ bool projects(const Args& a) { return a.theta != nullptr; }
  static __device__ const float* norms(const Args& a) { return a.stream_rstd; }
  static __device__ Bounded bounded(float u) {
    const float value = tanhf(u);
    return {value, fmaf(-value, value, 1.0f)};
  }
  template <int kN>
  static constexpr __device__ int trace_floats(const Args&) {
    return 0;
  }
  // pre, post and res are H~ itself, so their gradients are already those of H~.
  template <int kN>
  static __device__ void gradients(const Args&, const CoefficientParameters<Hc, kN>& s,
                                   CoefficientGroup<Hc, kN>& g, float*) {
    using S = CoefficientShape<Hc, kN>;
    for (int i = int(thread() % kWarp); i < S::kGroup * S::kColumns; i += int(kWarp)) {
      const int k = i % S::kGroup, c = i / S::kGroup;
      if (c >= kN && c < 2 * kN) continue;  // (c) does not need post
      const bool is_pre = c < kN;
      g.row[k][is_pre ? S::kRow.pre + c : S::kRow.res + c - 2 * kN] =
          fmaf(s.alpha[is_pre ? 0 : 2], bounded(g.u[k][c]).value, s.b[c]);
    }
  }
};

}  // namespace

void hc_coefficients_backward(const HcOpenBackwardArgs& a, cudaStream_t stream) {
  launch_coefficients_backward<Hc>("hc_coefficients_backward", a,
                                   hc_open_backward_cut(a.tokens, a.width, a.n), stream);
}

}  // namespace birkhoff::cuda
