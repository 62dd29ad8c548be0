#pragma once
// Device functions for H_pre, H_post and H_res of a token (formulas: kernels/mhc.h). A lane holds
// one row of its token's matrix in registers: row i of token t is in lane i·kWarp/n + t, so a warp
// handles kWarp/n tokens. Row sums are local to a lane; column sums take log2 n shuffles.
//
// The backward (sinkhorn_lanes.h) holds one entry per lane instead, because it keeps its iterates,
// 2·n² floats per step: with a row per lane, a warp at n = 4 would keep those of 8 matrices, 155 KB
// per block instead of 39. The forward keeps nothing; one entry per lane would cost it twice the
// shuffles, and four times the warps while the others compute h. Each uses functions of the
// accuracy it needs: the last step of the forward makes row sums right to a few ulp whatever the
// error before it, while gradients have no such step.
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/sinkhorn_form.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {

__device__ inline float sigmoid(float x) { return fast_divide(1.0f, 1.0f + fast_exp(-x)); }

// The sum over the rows of each token of the warp; every row gets the same bits.
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

// The difference between a logit and the largest in its row or column, exactly high + low (Knuth's
// two-sum).
struct Distance {
  float high, low;
};
__device__ inline Distance distance(float logit, float top) {
  const float high = logit - top, back = high - logit;  // back ≈ −top; low is the rounding error
  return {high, (logit - (high - back)) - (top + back)};
}

// Divides the row by its sum + eps; returns the inverse of that divisor.
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

// Turns logits into the matrix that the further divisions start from. The paper's form takes the
// softmax of each column, then the softmax of each row of its log. That log is h − log S, where
// h = L − (the column's maximum) and S ≤ n is the column's sum, so e^(h − the row's largest h)/S is
// proportional to the row; its largest entry is at least 1/n, and no logarithm is needed. h is kept
// exactly, so an entry loses one rounding of its distance from the largest, not of a logit of 100.
// The v4 form takes the softmax of each column, adds eps and divides by the row sums.
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

// Turns the lane's row of logits into its row of H_res. All lanes of the warp must call it.
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
