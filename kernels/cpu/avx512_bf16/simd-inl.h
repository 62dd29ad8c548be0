// Vector helpers of the bodies for AVX512-BF16. Include it after everything else, because the rest
// of the including file is compiled for that instruction set, whatever the build machine has.
//
// A vector is 16 floats or 16 pairs of bf16. A pair is 32 bits, its first element the lower half.
#pragma once
// g++ 12 warns about the operand that an unmasked intrinsic leaves undefined on purpose (GCC bug
// 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/dtype.h"

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,bmi,bmi2,f16c")

#define BIRKHOFF_INLINE inline __attribute__((always_inline))

namespace birkhoff::cpu::avx512_bf16 {
namespace {

using V = __m512;
constexpr int64_t kLanes = 16;

BIRKHOFF_INLINE V set(float x) { return _mm512_set1_ps(x); }
BIRKHOFF_INLINE V zero() { return _mm512_setzero_ps(); }
// Mask of the first `count` ≥ 0 lanes, at most all 16.
BIRKHOFF_INLINE __mmask16 first(int64_t count) {
  return __mmask16(count >= kLanes ? 0xFFFF : (1u << count) - 1);
}

BIRKHOFF_INLINE V load(const float* from) { return _mm512_loadu_ps(from); }
BIRKHOFF_INLINE V load(const float* from, __mmask16 lanes) {
  return _mm512_maskz_loadu_ps(lanes, from);
}
BIRKHOFF_INLINE V widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
BIRKHOFF_INLINE V load(const bf16* from) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
BIRKHOFF_INLINE V load(const bf16* from, __mmask16 lanes) {
  return widen(_mm256_maskz_loadu_epi16(lanes, from));
}

BIRKHOFF_INLINE void store(V value, float* to) { _mm512_storeu_ps(to, value); }
BIRKHOFF_INLINE void store(V value, float* to, __mmask16 lanes) {
  _mm512_mask_storeu_ps(to, lanes, value);
}
// Rounds to nearest even; subnormals become 0, NaN stays NaN.
BIRKHOFF_INLINE __m256i halves_of(V value) { return __m256i(_mm512_cvtneps_pbh(value)); }
BIRKHOFF_INLINE void store(V value, bf16* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), halves_of(value));
}
BIRKHOFF_INLINE void store(V value, bf16* to, __mmask16 lanes) {
  _mm256_mask_storeu_epi16(to, lanes, halves_of(value));
}

// The even and the odd elements of 16 pairs.
BIRKHOFF_INLINE V even_of(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}
BIRKHOFF_INLINE V odd_of(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(int(0xFFFF0000))));
}
// Interleaves the lower and the upper 16 bf16 of x: pair i is (x[i], x[16 + i]).
BIRKHOFF_INLINE __m512i paired(__m512i x) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, x);
}
// Interleaves two rows of 32 bf16 into 2 × 16 pairs (row0[i], row1[i]), in column order.
BIRKHOFF_INLINE void interleave(__m512i row0, __m512i row1, __m512i& lower, __m512i& upper) {
  const __m512i low = _mm512_unpacklo_epi16(row0, row1), high = _mm512_unpackhi_epi16(row0, row1);
  const __m512i k0 = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
  const __m512i k1 = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
  lower = _mm512_permutex2var_epi64(low, k0, high);
  upper = _mm512_permutex2var_epi64(low, k1, high);
}

// x[i][j] ↔ x[j][i] for 16 × 16 elements of 32 bits.
BIRKHOFF_INLINE void transpose(__m512i (&x)[16]) {
  __m512i y[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
  // Now x[4·i + c] holds column c of each group of four columns, for rows 4·i … 4·i + 3.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    y[c] = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88);
    y[4 + c] = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xDD);
    y[8 + c] = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88);
    y[12 + c] = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xDD);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    x[c] = _mm512_shuffle_i32x4(y[c], y[8 + c], 0x88);
    x[8 + c] = _mm512_shuffle_i32x4(y[c], y[8 + c], 0xDD);
    x[4 + c] = _mm512_shuffle_i32x4(y[4 + c], y[12 + c], 0x88);
    x[12 + c] = _mm512_shuffle_i32x4(y[4 + c], y[12 + c], 0xDD);
  }
}

// sum + a[0]·b[0] + a[1]·b[1] for each of 16 pairs.
BIRKHOFF_INLINE V dot(V sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, __m512bh(a), __m512bh(b));
}

constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

// 2^x to 3 ulp of f32 for x ≤ 127. The fraction that remains after rounding x to an integer goes
// into a polynomial of degree 5 (minimax in the relative error, 9.2e-8, with value 1 at 0). x below
// −160 gives 0; NaN stays NaN.
BIRKHOFF_INLINE V exp2_of(V x) {
  const V y = _mm512_max_ps(set(-160), x), n = _mm512_roundscale_ps(y, 0);
  const V r = _mm512_sub_ps(y, n);
  V p = set(1.32647273e-3f);
  p = _mm512_fmadd_ps(p, r, set(9.67151299e-3f));
  p = _mm512_fmadd_ps(p, r, set(5.55073358e-2f));
  p = _mm512_fmadd_ps(p, r, set(2.40222424e-1f));
  p = _mm512_fmadd_ps(p, r, set(6.93147004e-1f));
  return _mm512_scalef_ps(_mm512_fmadd_ps(p, r, set(1)), n);
}

// The register tile: sum[r][v] += Σ_k a[r, k]·b[k, v] over `pairs` pairs. Pair k of row r is at
// a + r·row + k·step; b has rows of 16·kV pairs.
template <int kR, int kV>
BIRKHOFF_INLINE void dot_tile(V (&sum)[kR][kV], const bf16* a, int64_t row, int64_t step,
                              const uint32_t* b, int64_t pairs) {
  for (int64_t k = 0; k < pairs; ++k, a += step, b += kV * kLanes) {
    __m512i y[kV];
#pragma GCC unroll 4
    for (int v = 0; v < kV; ++v) y[v] = _mm512_loadu_si512(b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
      int32_t pair;
      std::memcpy(&pair, a + r * row, sizeof(pair));
      const __m512i x = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int v = 0; v < kV; ++v) sum[r][v] = dot(sum[r][v], x, y[v]);
    }
  }
}

}  // namespace
}  // namespace birkhoff::cpu::avx512_bf16
