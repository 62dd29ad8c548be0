#pragma once
// Device functions: the gradients of mHC's coefficients, sigmoids and Sinkhorn–Knopp, a matrix
// entry a lane; a map as backward_coefficients.h asks for. Sinkhorn's iterates are made again from
// u and stay in shared memory: 2·n² floats a step, 5 KB a token at n = 4.
#include <cmath>

#include "kernels/cuda/backward_coefficients.h"
#include "kernels/cuda/sinkhorn_lanes.h"

namespace birkhoff::cuda {

struct MhcBackwardMap {
  using Args = MhcOpenBackwardArgs;
  template <int kN>
  using Parameters = CoefficientParameters<MhcBackwardMap, kN>;
  template <int kN>
  using Group = CoefficientGroup<MhcBackwardMap, kN>;
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
  static __device__ void gradients(const Args& a, const Parameters<kN>& s, Group<kN>& g,
                                   float* trace) {
    of_gates<kN>(a, s, g);
    SinkhornLanes<kN> sinkhorn(trace, a.sinkhorn);
    make_matrices<kN>(s, g, sinkhorn);
    of_matrices<kN>(g, sinkhorn);
  }

  // pre = σ + e and post = 2σ of the logits; dσ = σ·(1 − σ).
  template <int kN>
  static __device__ void of_gates(const Args& a, const Parameters<kN>& s, Group<kN>& g) {
    using S = CoefficientShape<MhcBackwardMap, kN>;
    for (int i = int(thread() % kWarp); i < S::kGroup * 2 * kN; i += int(kWarp)) {
      const int k = i % S::kGroup, c = i / S::kGroup;
      const bool is_pre = c < kN;
      const float logit = fmaf(s.alpha[is_pre ? 0 : 1], g.u[k][c], s.b[c]);
      const float gate = 1 / (1 + expf(-logit)), d = g.row[k][c];
      g.row[k][c] = (is_pre ? d : 2 * d) * (gate * (1 - gate));
      if (is_pre) g.row[k][S::kRow.pre + c] = gate + a.sinkhorn.pre_eps();
    }
  }

  // H_res, from u alone.
  template <int kN>
  static __device__ void make_matrices(const Parameters<kN>& s, Group<kN>& g,
                                       SinkhornLanes<kN>& sinkhorn) {
    using S = CoefficientShape<MhcBackwardMap, kN>;
    using L = SinkhornLanes<kN>;
    const unsigned lane = thread() % kWarp, k = lane / L::kLanes, e = lane % L::kLanes;
    float m[L::kHeld];
    for (int h = 0; h < L::kHeld; ++h) {
      const unsigned c = 2 * kN + e + unsigned(h) * kWarp;
      m[h] = fmaf(s.alpha[2], g.u[k][c], s.b[c]);
    }
    sinkhorn.forward(m);
    for (int h = 0; h < L::kHeld; ++h)
      g.row[k][unsigned(S::kRow.res) + e + unsigned(h) * kWarp] = m[h];
  }
  // Behind make_matrices of the same tokens: d of the logits in the place of d of H_res.
  template <int kN>
  static __device__ void of_matrices(Group<kN>& g, const SinkhornLanes<kN>& sinkhorn) {
    using L = SinkhornLanes<kN>;
    const unsigned lane = thread() % kWarp, k = lane / L::kLanes, e = lane % L::kLanes;
    float d[L::kHeld];
    for (int h = 0; h < L::kHeld; ++h) d[h] = g.row[k][2 * kN + e + unsigned(h) * kWarp];
    sinkhorn.backward(d);
    for (int h = 0; h < L::kHeld; ++h) g.row[k][2 * kN + e + unsigned(h) * kWarp] = d[h];
  }
};

}  // namespace birkhoff::cuda
