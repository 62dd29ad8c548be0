#pragma once
// Device functions: H_pre, H_post and H_res of a token (formulas: kernels/mhc.h). A lane has row i
// of its token's matrix in registers; the n rows of a token are lanes i·kWarp/n + token, so that a
// warp works on kWarp/n tokens. Row sums are the lane's own, column sums are log2 n shuffles.
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
// 1/n at least, and no logarithm is taken. h is kept as high + low, exactly: an entry loses a
// rounding of its distance from the largest, and not one of logits of 100.
template <int kN>
__device__ inline void first_pair(float (&row)[kN], const SinkhornHow& how) {
  float high[kN], low[kN], inverse[kN];
  for (int j = 0; j < kN; ++j) {
    const float top = largest_of_rows<kN>(row[j]);
    high[j] = row[j] - top;
    const float back = high[j] - row[j];  // ≈ −top; low: what rounding took (Knuth's two-sum)
    low[j] = (row[j] - (high[j] - back)) - (top + back);
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
