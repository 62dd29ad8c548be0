// Products of pairs of bf16 for attention, which skip what a row does not see. Include it after
// everything else, see simd-inl.h.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/avx512_bf16/attention_rows-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

// The columns that rows of a tile see: row r sees [begin[r], end[r]).
struct Seen {
  int32_t begin[kRows], end[kRows];
  int64_t any_begin, any_end;  // Range that covers what any row sees.
  int64_t all_begin, all_end;  // Range that all rows see; empty if all_begin ≥ all_end.

  void close() {
    any_begin = *std::min_element(begin, begin + kRows);
    all_begin = *std::max_element(begin, begin + kRows);
    any_end = *std::max_element(end, end + kRows);
    all_end = *std::min_element(end, end + kRows);
  }
  bool nothing() const { return any_begin >= any_end; }
  // Bit mask of the elements of pair k that row r sees.
  uint32_t bits(int r, int64_t k) const {
    const auto sees = [&](int64_t j) { return begin[r] <= j && j < end[r]; };
    return (sees(2 * k) ? 0xFFFFu : 0) | (sees(2 * k + 1) ? 0xFFFF0000u : 0);
  }
};

// Which of `keys` the queries [from, from + count) see. Rows after them see the same as the last
// query.
inline Seen keys_seen(const int32_t* first_key, int64_t start, int64_t from, int64_t count,
                      const Keys& keys) {
  Seen seen;
  for (int64_t r = 0; r < kRows; ++r) {
    const int64_t t = from + std::min(r, count - 1);
    const int64_t first = first_key[start + t] - start - keys.begin;
    seen.begin[r] = int32_t(std::clamp<int64_t>(first, 0, keys.count));
    seen.end[r] = int32_t(std::clamp<int64_t>(t + 1 - keys.begin, seen.begin[r], keys.count));
  }
  seen.close();
  return seen;
}

// Pair k of row r is at data + r·row + k·step.
struct PairRows {
  const bf16* data;
  int64_t row, step;

  uint32_t pair(int r, int64_t k) const {
    uint32_t pair;
    std::memcpy(&pair, data + r * row + k * step, sizeof(pair));
    return pair;
  }
};
struct Factor {  // Pairs [k, columns].
  const uint32_t* data;
  int64_t row;
};

// sum[r] += Σ_k a[r, k]·b[k] over pairs k in [begin, end).
template <int kV>
BIRKHOFF_INLINE void add_pairs(V (&sum)[kRows][kV], PairRows a, Factor b, int64_t begin,
                               int64_t end) {
  a.data += begin * a.step, b.data += begin * b.row;
  for (int64_t k = begin; k < end; ++k, a.data += a.step, b.data += b.row) {
    __m512i y[kV];
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) y[v] = _mm512_loadu_si512(b.data + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i x = _mm512_set1_epi32(int(a.pair(r, 0)));
#pragma GCC unroll 3
      for (int v = 0; v < kV; ++v) sum[r][v] = dot(sum[r][v], x, y[v]);
    }
  }
}

// sum[r] += Σ_k a[r, k]·b[k] over what row r sees. Pairs outside the range that all rows see are
// masked row by row, which replaces unseen elements of both factors by 0, whatever they hold.
template <int kV>
BIRKHOFF_INLINE void add_seen(V (&sum)[kRows][kV], const PairRows& a, const Factor& b,
                              const Seen& seen) {
  const int64_t begin = seen.any_begin / 2, end = (seen.any_end + 1) / 2;
  const int64_t whole = std::clamp((seen.all_begin + 1) / 2, begin, end);
  const int64_t whole_end = std::clamp(seen.all_end / 2, whole, end);
  for (int64_t k = begin;; ++k) {
    if (k == whole) {
      add_pairs(sum, a, b, whole, whole_end);
      k = whole_end;
    }
    if (k >= end) break;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const uint32_t bits = seen.bits(r, k);
      const __m512i mask = _mm512_set1_epi32(int(bits));
      const __m512i x = _mm512_set1_epi32(int(a.pair(r, k) & bits));
#pragma GCC unroll 3
      for (int v = 0; v < kV; ++v) {
        const __m512i y = _mm512_loadu_si512(b.data + k * b.row + v * kLanes);
        sum[r][v] = dot(sum[r][v], x, _mm512_and_si512(y, mask));
      }
    }
  }
}

template <class F>
BIRKHOFF_INLINE void with_vectors(int64_t count, F&& f) {
  if (count == 1) return f(std::integral_constant<int, 1>());
  if (count == 2) return f(std::integral_constant<int, 2>());
  f(std::integral_constant<int, 3>());
}

// Computes 16·kV columns of multiply_seen.
template <int kV>
BIRKHOFF_INLINE void multiply_columns(const PairRows& a, const Factor& b, const Seen& seen,
                                      float* out, const float* factor) {
  V sum[kRows][kV];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) {
      sum[r][v] = load(out + r * b.row + v * kLanes);
      if (factor) sum[r][v] = _mm512_mul_ps(sum[r][v], set(factor[r]));
    }
  add_seen(sum, a, b, seen);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) store(sum[r][v], out + r * b.row + v * kLanes);
}

// out[r] = out[r]·factor[r] + Σ a[r, j]·b[j] over what row r sees. out has as many columns of
// floats as b has columns; a null factor means 1.
inline void multiply_seen(const PairRows& a, const Factor& b, const Seen& seen, float* out,
                          const float* factor = nullptr) {
  for (int64_t c = 0; c < b.row;) {
    const int64_t left = (b.row - c) / kLanes, vectors = left == 4 ? 2 : std::min<int64_t>(left, 3);
    with_vectors(vectors, [&](auto n) {
      multiply_columns<n>(a, {b.data + c, b.row}, seen, out + c, factor);
    });
    c += vectors * kLanes;
  }
}

// out = base + x·factor for one row of bf16; base may be null or out.
inline void write_row(const float* x, float factor, int64_t width, const bf16* base, bf16* out) {
  for (int64_t c = 0; c < width; c += kLanes) {
    const __mmask16 lanes = first(width - c);
    V y = _mm512_mul_ps(load(x + c, lanes), set(factor));
    if (base) y = _mm512_add_ps(load(base + c, lanes), y);
    store(y, out + c, lanes);
  }
}

}  // namespace
}  // namespace birkhoff::cpu::avx512_bf16
