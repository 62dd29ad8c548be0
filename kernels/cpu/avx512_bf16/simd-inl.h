// Vector helpers of the bodies for AVX512-BF16; include it after everything else: the rest of the
// file is compiled for that instruction set, whatever the machine that builds it has.
//
// A vector is 16 floats, or 16 pairs of bf16: a pair is 32 bits, its first element the lower half.
#pragma once
// g++ 12 takes the operand that an unmasked intrinsic leaves undefined for a mistake (GCC bug
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
// The first `count` lanes, 0 … 16.
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
// To nearest even; subnormals become 0, a NaN stays one.
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
// Pairs of two vectors' elements: (even[i], odd[i]).
BIRKHOFF_INLINE __m512i pairs_of(V even, V odd) {
  const __m512i low = _mm512_cvtepu16_epi32(halves_of(even));
  return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves_of(odd)), 16));
}
// Two rows of 32 bf16 to 2 × 16 pairs (row0[i], row1[i]), in the order of columns.
BIRKHOFF_INLINE void interleave(__m512i row0, __m512i row1, __m512i& lower, __m512i& upper) {
  const __m512i low = _mm512_unpacklo_epi16(row0, row1), high = _mm512_unpackhi_epi16(row0, row1);
  const __m512i k0 = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
  const __m512i k1 = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
  lower = _mm512_permutex2var_epi64(low, k0, high);
  upper = _mm512_permutex2var_epi64(low, k1, high);
}

// sum + a[0]·b[0] + a[1]·b[1] of 16 pairs.
BIRKHOFF_INLINE V dot(V sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, __m512bh(a), __m512bh(b));
}

// sum[r][v] += Σ_k a[r, k]·b[k, v] over `pairs` pairs: the register tile. Pair k of row r is at
// a + r·row + k·step, b has rows of 16·kV pairs.
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

// e^x to 2 ulp: Cody and Waite's reduction, then a polynomial of degree 6 (Cephes' expf). −∞ and
// what is below −87.3 give 0, what is above 88.7 +∞; a NaN stays one.
BIRKHOFF_INLINE V exp_of(V x) {
  const V n = _mm512_roundscale_ps(_mm512_mul_ps(x, set(1.44269504f)), 0);
  V r = _mm512_fnmadd_ps(n, set(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, set(-2.12194440e-4f), r);
  V p = set(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, set(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, set(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, set(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, set(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, set(5.0000001201e-1f));
  p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, set(1.0f)));
  const V y = _mm512_scalef_ps(p, n);
  const __mmask16 small = _mm512_cmp_ps_mask(x, set(-87.3f), _CMP_LT_OQ);
  const V inf = set(__builtin_inff());
  const V large = _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, set(88.72f), _CMP_GT_OQ), inf);
  return _mm512_mask_mov_ps(large, small, zero());
}
// 1/x to 1 ulp, of normal x below 2^126.
BIRKHOFF_INLINE V inverse_of(V x) {
  const V r = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(x, r, set(2.0f)));
}

}  // namespace
}  // namespace birkhoff::cpu::avx512_bf16
