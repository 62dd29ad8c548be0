// Packs the factors of a product in pairs along its inner dimension. Elements are bf16, or f32 that
// are rounded here; positions outside a factor are packed as 0. Include it after everything else,
// see simd-inl.h.
#pragma once
#include "kernels/cpu/avx512_bf16/simd-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

// 32 elements in order; the masks `lower` and `upper` select from the first and the last 16.
BIRKHOFF_INLINE __m512i row_of(const bf16* from, __mmask16 lower, __mmask16 upper) {
  return _mm512_maskz_loadu_epi16(__mmask32(lower) | __mmask32(upper) << 16, from);
}
BIRKHOFF_INLINE __m512i row_of(const float* from, __mmask16 lower, __mmask16 upper) {
  return __m512i(_mm512_cvtne2ps_pbh(load(from + kLanes, upper), load(from, lower)));
}
BIRKHOFF_INLINE __m512i row_of(const bf16* from) { return _mm512_loadu_si512(from); }
BIRKHOFF_INLINE __m512i row_of(const float* from) {
  return __m512i(_mm512_cvtne2ps_pbh(load(from + kLanes), load(from)));
}

// Prefetch distance, in pairs of rows or in half blocks of 16 columns. Without it the loads of a
// strip would wait for memory.
constexpr int64_t kAhead = 8;

// Pair t of column j, elements 2t and 2t + 1 of row j of `from` [columns, depth], goes to
// to[t·width + j]. width is a multiple of 16.
template <class T>
void pack_rows_as_columns(const T* from, int64_t stride, int64_t columns, int64_t depth,
                          int64_t width, uint32_t* to) {
  for (int64_t j = 0; j < width; j += kLanes)
    for (int64_t k = 0; k < depth; k += 2 * kLanes) {
      const T* at = from + j * stride + k;
      __m512i x[16];
      const int64_t rows = columns - j, left = depth - k;
      if (rows >= kLanes && left >= 2 * kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
          const char* next = reinterpret_cast<const char*>(at + i * stride + kAhead * kLanes);
          for (size_t line = 0; line < 2 * kLanes * sizeof(T); line += 64)
            _mm_prefetch(next + line, _MM_HINT_T0);
          x[i] = row_of(at + i * stride);
        }
      } else {
        const __mmask16 lower = first(left), upper = first(left > kLanes ? left - kLanes : 0);
        for (int i = 0; i < 16; ++i)
          x[i] = i < rows ? row_of(at + i * stride, lower, upper) : _mm512_setzero_si512();
      }
      transpose(x);
      uint32_t* out = to + k / 2 * width + j;
      const int64_t pairs = (left + 1) / 2;
      if (pairs >= kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * width, x[i]);
      } else {
        for (int64_t i = 0; i < pairs; ++i) _mm512_storeu_si512(out + i * width, x[i]);
      }
    }
}

// Reads rows 2t and 2t + 1 of up to 32 columns as pairs, columns 0 … 15 apart from 16 … 31.
template <class T>
struct RowPairs {
  const T* from;
  int64_t stride;
  int64_t rows;            // Rows that exist from `from` on.
  __mmask16 lower, upper;  // Masks of the columns that exist.

  BIRKHOFF_INLINE void at(int64_t t, __m512i& first16, __m512i& last16) const {
    const T* row = from + 2 * t * stride;
    const __m512i x = row_of(row, lower, upper);
    const __m512i y =
        2 * t + 1 < rows ? row_of(row + stride, lower, upper) : _mm512_setzero_si512();
    interleave(x, y, first16, last16);
  }
};
template <class T>
BIRKHOFF_INLINE RowPairs<T> row_pairs(const T* from, int64_t stride, int64_t rows,
                                      int64_t columns) {
  return {from, stride, rows, first(columns), first(columns > kLanes ? columns - kLanes : 0)};
}

template <class T>
BIRKHOFF_INLINE void prefetch_rows(const T* from, int64_t stride, int64_t t) {
  const T* row = from + 2 * (t + kAhead) * stride;
  _mm_prefetch(reinterpret_cast<const char*>(row), _MM_HINT_T0);
  _mm_prefetch(reinterpret_cast<const char*>(row + stride), _MM_HINT_T0);
}

// Pair t of column j, elements [2t, j] and [2t + 1, j] of `from` [depth, columns], goes to
// to[t·width + j].
template <class T>
void pack_columns(const T* from, int64_t stride, int64_t columns, int64_t depth, int64_t width,
                  uint32_t* to) {
  for (int64_t j = 0; j < width; j += 2 * kLanes) {
    const auto x = row_pairs(from + j, stride, depth, columns - j);
    const bool both = j + kLanes < width;
    for (int64_t t = 0; t < (depth + 1) / 2; ++t) {
      __m512i lower, upper;
      prefetch_rows(from + j, stride, t);
      x.at(t, lower, upper);
      _mm512_storeu_si512(to + t * width + j, lower);
      if (both) _mm512_storeu_si512(to + t * width + j + kLanes, upper);
    }
  }
}

// Packs `from` [depth, rows] into consecutive strips of 8 columns, each [pairs, 8]: pair t of
// column i goes to to[(i / 8·pairs + t)·8 + i % 8]. The last strip is padded.
template <class T>
void pack_strips(const T* from, int64_t stride, int64_t rows, int64_t depth, uint32_t* to) {
  const int64_t pairs = (depth + 1) / 2;
  for (int64_t i = 0; i < rows; i += 2 * kLanes) {
    const auto x = row_pairs(from + i, stride, depth, rows - i);
    const int64_t strips = (rows - i + 7) / 8;
    uint32_t* out = to + i * pairs;
    for (int64_t t = 0; t < pairs; ++t, out += 8) {
      __m512i lower, upper;
      prefetch_rows(from + i, stride, t);
      x.at(t, lower, upper);
      const __m256i part[4] = {_mm512_castsi512_si256(lower), _mm512_extracti64x4_epi64(lower, 1),
                               _mm512_castsi512_si256(upper), _mm512_extracti64x4_epi64(upper, 1)};
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q)
        if (q < strips)
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + q * 8 * pairs), part[q]);
    }
  }
}

// Rounds rows of f32 to rows of bf16 with stride `depth`.
BIRKHOFF_INLINE void round_rows(const float* from, int64_t stride, int64_t rows, int64_t depth,
                                bf16* to) {
  for (int64_t i = 0; i < rows; ++i, from += stride, to += depth) {
    int64_t k = 0;
    for (; k + kLanes <= depth; k += kLanes) store(load(from + k), to + k);
    if (k < depth) store(load(from + k, first(depth - k)), to + k, first(depth - k));
  }
}

}  // namespace
}  // namespace birkhoff::cpu::avx512_bf16
