// (b) of mHC: sigmoids and Sinkhorn–Knopp, a matrix entry a lane. Its iterates are made again from
// u and stay in shared memory: 2·n² floats a step, 5 KB a token at n = 4.
#include <cmath>

#include "kernels/cuda/backward_sums.h"
#include "kernels/cuda/sinkhorn_lanes.h"

namespace birkhoff::cuda {
namespace {

struct Mhc {
  using Args = MhcOpenBackwardArgs;
  template <int kN>
  using Shared = CoefficientShared<Mhc, kN>;
  template <int kN>
  using Group = CoefficientGroup<Mhc, kN>;
  static constexpr bool kPerStream = false, kSublayer = true;
  static constexpr unsigned kAlphas = 3;

  static __device__ bool projects(const Args&) { return true; }
  static __device__ const float* norms(const Args& a) { return a.rho; }
  static __device__ Bounded bounded(float u) { return {u, 1}; }
  template <int kN>
  static constexpr __device__ int trace_floats(const Args& a) {
    return SinkhornLanes<kN>::trace_floats(a.sinkhorn);
  }
  template <int kN>
  static __device__ void gradients(const Args& a, const Shared<kN>& s, Group<kN>& g, float* trace) {
    of_gates<kN>(a, s, g);
    of_matrices<kN>(a, s, g, trace);
  }

  // pre = σ + e and post = 2σ of the logits; dσ = σ·(1 − σ).
  template <int kN>
  static __device__ void of_gates(const Args& a, const Shared<kN>& s, Group<kN>& g) {
    using S = CoefficientShape<Mhc, kN>;
    for (int i = int(thread() % kWarp); i < S::kGroup * 2 * kN; i += int(kWarp)) {
      const int k = i % S::kGroup, c = i / S::kGroup;
      const bool is_pre = c < kN;
      const float logit = fmaf(s.alpha[is_pre ? 0 : 1], g.u[k][c], s.b[c]);
      const float gate = 1 / (1 + expf(-logit)), d = g.row[k][c];
      g.row[k][c] = (is_pre ? d : 2 * d) * (gate * (1 - gate));
      if (is_pre) g.row[k][S::kRow.pre + c] = gate + a.sinkhorn.pre_eps();
    }
  }

  template <int kN>
  static __device__ void of_matrices(const Args& a, const Shared<kN>& s, Group<kN>& g,
                                     float* trace) {
    using S = CoefficientShape<Mhc, kN>;
    using L = SinkhornLanes<kN>;
    const unsigned lane = thread() % kWarp, k = lane / L::kLanes, e = lane % L::kLanes;
    float m[L::kHeld], d[L::kHeld];
    for (int h = 0; h < L::kHeld; ++h) {
      const unsigned c = 2 * kN + e + unsigned(h) * kWarp;
      m[h] = fmaf(s.alpha[2], g.u[k][c], s.b[c]);
      d[h] = g.row[k][c];
    }
    L sinkhorn(trace, a.sinkhorn);
    sinkhorn.forward(m);
    sinkhorn.backward(d);
    for (int h = 0; h < L::kHeld; ++h) {
      g.row[k][2 * kN + e + unsigned(h) * kWarp] = d[h];
      g.row[k][unsigned(S::kRow.res) + e + unsigned(h) * kWarp] = m[h];
    }
  }
};

}  // namespace

void mhc_coefficients_backward(const MhcOpenBackwardArgs& a, cudaStream_t stream) {
  launch_coefficients_backward<Mhc>("mhc_coefficients_backward", a,
                                    mhc_open_backward_cut(a.tokens, a.width, a.n), stream);
}

}  // namespace birkhoff::cuda
