#pragma once
// Device functions for the gradients of mHC's coefficients (sigmoids and Sinkhorn–Knopp), with one
// matrix entry per lane; the map M of backward_coefficients.h. Sinkhorn's iterates are recomputed
// from u and kept in shared memory: 2·n² floats per step, 5 KB per token at n = 4.
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

  // The backward of pre = σ(logit) + e and post = 2·σ(logit), with σ' = σ·(1 − σ). Also makes pre.
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

  // Recomputes H_res, which needs only u.
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
  // Replaces the gradients of H_res by those of the logits. REQUIRES that make_matrices() of the
  // same tokens was called before.
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
