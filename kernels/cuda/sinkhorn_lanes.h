#pragma once
// Sinkhorn–Knopp of small matrices and its backward (definition: kernels/mhc.h), with one matrix
// entry per lane: for n ≤ 4, entry i·n + j is in that lane of the matrix's group of n² lanes; at
// n = 8 a lane has two entries, 32 apart. Sums over a row or column ("line") are shuffles. Iterates
// stay in shared memory, in `trace`. (sinkhorn.h says why the forward uses another layout.)
#include <cmath>

#include "kernels/cuda/sinkhorn.h"

namespace birkhoff::cuda {

template <int kN>
class SinkhornLanes {
 public:
  static constexpr int kEntries = kN * kN;
  static constexpr int kHeld = kEntries > int(kWarp) ? kEntries / int(kWarp) : 1;
  static constexpr unsigned kLanes = kEntries / kHeld;  // lanes per matrix
  using Held = float[kHeld];

  // trace: this warp's own array [steps, 2, kHeld, kWarp].
  __device__ SinkhornLanes(float* trace, const SinkhornHow& how)
      : trace_(trace + thread() % kWarp),
        steps_(steps(how)),
        v4_(how.v4),
        eps_(how.v4 ? how.eps : 0) {}
  static constexpr int trace_floats(const SinkhornHow& how) {
    return steps(how) * 2 * kHeld * int(kWarp);
  }

  // m holds logits on entry and H_res on return.
  __device__ void forward(Held& m) {
    column_softmax(m);
    for (int h = 0; h < kHeld; ++h) first_[h] = m[h];
    for (int s = 1; s <= steps_; ++s) by_columns(s) ? divide<true>(s, m) : divide<false>(s, m);
  }

  // d holds dH_res on entry and dL on return. REQUIRES that forward() of the same matrices was the
  // previous call.
  __device__ void backward(Held& d) const {
    for (int s = steps_; s > 0; --s)
      by_columns(s) ? divide_backward<true>(s, d) : divide_backward<false>(s, d);
    if (v4_) return softmax_backward<true>(columns_, d);
    softmax_backward<false>(first_, d);
    Held sum;  // backward of the log-softmax of each column: dL = dc − p·Σ dc
    line_sum<true>(d, sum);
    for (int h = 0; h < kHeld; ++h) d[h] = fmaf(-columns_[h], sum[h], d[h]);
  }

 private:
  // The number of divisions after the first pair (paper) or the softmax (v4).
  static constexpr int steps(const SinkhornHow& how) {
    return 2 * (how.iterations - 1) + (how.v4 ? 1 : 0);
  }
  __device__ bool by_columns(int s) const { return (s % 2 == 1) != v4_; }
  __device__ float& slot(int s, int part, int h) const {
    return trace_[(((s - 1) * 2 + part) * kHeld + h) * int(kWarp)];
  }

  // The sum (line_sum) or maximum (line_top) of the column or row that contains each entry.
  template <bool kColumns>
  __device__ static void line_sum(const Held& m, Held& sum) {
    for (int h = 0; h < kHeld; ++h) sum[h] = m[h];
    if constexpr (kColumns) {
      for (int h = 1; h < kHeld; ++h) sum[0] += sum[h];
      sum[0] = lanes_sum(sum[0], kN, kLanes);
      for (int h = 1; h < kHeld; ++h) sum[h] = sum[0];
    } else {
      for (int h = 0; h < kHeld; ++h) sum[h] = lanes_sum(sum[h], 1, kN);
    }
  }
  template <bool kColumns>
  __device__ static void line_top(const Held& m, Held& top) {
    for (int h = 0; h < kHeld; ++h) {
      top[h] = m[h];
      for (unsigned bit = kColumns ? kN : 1; bit < (kColumns ? kLanes : unsigned(kN)); bit *= 2)
        top[h] = fmaxf(top[h], shuffle_xor(kFullMask, top[h], bit));
    }
    if constexpr (kColumns) {
      for (int h = 1; h < kHeld; ++h) top[0] = fmaxf(top[0], top[h]);
      for (int h = 1; h < kHeld; ++h) top[h] = top[0];
    }
  }

  // m holds logits on entry. Takes the softmax of each column, then (paper) the softmax of each row
  // of its log. That log is kept as high + low, exact except for log Σ, so an entry loses one
  // rounding of its distance from the row's largest, not of a logit of 100.
  __device__ void column_softmax(Held& m) {
    Held top, high, low, e, sum;
    line_top<true>(m, top);
    for (int h = 0; h < kHeld; ++h) {
      const Distance from = distance(m[h], top[h]);
      high[h] = from.high, low[h] = from.low;
      e[h] = expf(high[h]);
    }
    line_sum<true>(e, sum);
    for (int h = 0; h < kHeld; ++h) {
      columns_[h] = e[h] / sum[h];
      low[h] -= logf(sum[h]);
      m[h] = v4_ ? columns_[h] + eps_ : high[h] + low[h];
    }
    if (v4_) return;
    line_top<false>(m, top);
    for (int h = 0; h < kHeld; ++h) e[h] = expf((high[h] - top[h]) + low[h]);
    line_sum<false>(e, sum);
    for (int h = 0; h < kHeld; ++h) m[h] = e[h] / sum[h];
  }

  template <bool kColumns>
  __device__ void divide(int s, Held& m) const {
    Held sum;
    line_sum<kColumns>(m, sum);
    for (int h = 0; h < kHeld; ++h) {
      const float inverse = 1 / (sum[h] + eps_);
      m[h] *= inverse;
      slot(s, 0, h) = m[h], slot(s, 1, h) = inverse;
    }
  }
  // y = x/(Σx + e):  dx = (dy − Σ dy·y)/(Σx + e)
  template <bool kColumns>
  __device__ void divide_backward(int s, Held& d) const {
    Held product, pull;
    for (int h = 0; h < kHeld; ++h) product[h] = d[h] * slot(s, 0, h);
    line_sum<kColumns>(product, pull);
    for (int h = 0; h < kHeld; ++h) d[h] = (d[h] - pull[h]) * slot(s, 1, h);
  }
  // y = softmax(x):  dx = y·(dy − Σ dy·y)
  template <bool kColumns>
  __device__ static void softmax_backward(const Held& y, Held& d) {
    Held product, pull;
    for (int h = 0; h < kHeld; ++h) product[h] = d[h] * y[h];
    line_sum<kColumns>(product, pull);
    for (int h = 0; h < kHeld; ++h) d[h] = y[h] * (d[h] - pull[h]);
  }

  float* const trace_;
  const int steps_;
  const bool v4_;
  const float eps_;
  Held columns_;  // the softmax of each column
  Held first_;    // the matrix before the first division
};

}  // namespace birkhoff::cuda
