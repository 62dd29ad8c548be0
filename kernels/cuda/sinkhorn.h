#pragma once
// Device functions: H_pre, H_post and H_res of a token (formulas: kernels/mhc.h). A lane has row i
// of its token's matrix in registers; the n rows of a token are lanes i·kWarp/n + token, so that a
// warp works on kWarp/n tokens. Row sums are the lane's own, column sums are log2 n shuffles.
//
// The backward (sinkhorn_lanes.h) has an entry a lane instead: it keeps its iterates, 2·n² floats a
// step, and at n = 4 a warp with a row a lane would keep those of 8 matrices: 155 KB a block where
// 39 do. Here, where nothing is kept, an entry a lane would take twice the shuffles, and four times
// the warps while h is made. Each has functions as exact as it needs: the last step of the forward
// leaves row sums right to a few ulp whatever came before, gradients have no such step.
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/sinkhorn_form.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {

__device__ inline float sigmoid(float x) { return fast_divide(1.0f, 1.0f + fast_exp(-x)); }

// Over the rows of each token of the warp; the same bits for each of them.
template <int kN>
__device__ inline float sum_of_rows(float value) {
  return lanes_sum(value, kWarp / kN, kWarp);
}
template <int kN>
__device__ inline float largest_of_rows(float value) {
  for (unsigned lanes = kWarp / kN; lanes < kWarp; lanes *= 2)
    value = fmaxf(value, shuffle_xor(kFullMask, value, lanes));
  return value;
}

// How far a logit is below the largest of its line: high + low, exactly (Knuth's two-sum).
struct Distance {
  float high, low;
};
__device__ inline Distance distance(float logit, float top) {
  const float high = logit - top, back = high - logit;  // ≈ −top; low is what rounding took
  return {high, (logit - (high - back)) - (top + back)};
}

// row / (its sum + e), and the inverse of that sum.
template <int kN>
__device__ inline float divide_by_row(float (&row)[kN], float eps) {
  float sum = eps;
  for (int j = 0; j < kN; ++j) sum += row[j];
  const float inverse = fast_divide(1.0f, sum);
  for (int j = 0; j < kN; ++j) row[j] *= inverse;
  return inverse;
}
template <int kN>
__device__ inline void divide_by_columns(float (&row)[kN], float eps) {
  for (int j = 0; j < kN; ++j) row[j] *= fast_divide(1.0f, sum_of_rows<kN>(row[j]) + eps);
}

// Logits to what the divisions begin with: softmax over the columns; then, of the paper's form, the
// rows' softmax of its log. That log is h − log S with h = L − (the column's maximum), S ≤ n the
// column's sum: so e^(h − the row's largest h)/S is proportional to the row, its largest entry is
// 1/n at least, and no logarithm is taken. h is kept exactly: an entry loses a
// rounding of its distance from the largest, and not one of logits of 100.
template <int kN>
__device__ inline void first_pair(float (&row)[kN], const SinkhornHow& how) {
  float high[kN], low[kN], inverse[kN];
  for (int j = 0; j < kN; ++j) {
    const Distance h = distance(row[j], largest_of_rows<kN>(row[j]));
    high[j] = h.high, low[j] = h.low;
    row[j] = fast_exp(high[j]);
    inverse[j] = fast_divide(1.0f, sum_of_rows<kN>(row[j]));
  }
  if (how.v4) {
    for (int j = 0; j < kN; ++j) row[j] = fmaf(row[j], inverse[j], how.eps);
    divide_by_row(row, how.eps);
    return;
  }
  float top_high = high[0], top_low = low[0];
  for (int j = 1; j < kN; ++j)
    if (high[j] + low[j] > top_high + top_low) top_high = high[j], top_low = low[j];
  for (int j = 0; j < kN; ++j)
    row[j] = fast_exp((high[j] - top_high) + (low[j] - top_low)) * inverse[j];
  divide_by_row(row, 0.0f);
}

// The lane's row of logits to its row of H_res. All lanes of the warp come.
template <int kN>
__device__ inline void sinkhorn(float (&row)[kN], const SinkhornHow& how) {
  first_pair(row, how);
  const float eps = how.v4 ? how.eps : 0.0f;
  for (int pair = 1; pair < how.iterations; ++pair) {
    divide_by_columns(row, eps);
    divide_by_row(row, eps);
  }
}

}  // namespace birkhoff::cuda
