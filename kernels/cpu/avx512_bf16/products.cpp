// Measures the rate of products of pairs, see kernels/peak_rates.h.
#include "kernels/cpu/routines.h"
// must come last:
#include "kernels/cpu/avx512_bf16/simd-inl.h"

namespace birkhoff::cpu::avx512_bf16 {

// Computes kProductChains independent sums in registers. Elements are 2^-8, so that no sum becomes
// too large for f32 to add to.
float products(int64_t rounds) {
  const __m512i pair = _mm512_set1_epi32(0x3B803B80);
  V sum[kProductChains];
  for (V& s : sum) s = zero();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kProductChains; ++c) sum[c] = dot(sum[c], pair, pair);
  }
  V all = sum[0];
  for (int c = 1; c < kProductChains; ++c) all = _mm512_add_ps(all, sum[c]);
  float lanes[kLanes], total = 0;
  store(all, lanes);
  for (const float lane : lanes) total += lane;
  return total;
}

}  // namespace birkhoff::cpu::avx512_bf16
