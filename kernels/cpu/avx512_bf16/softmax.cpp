#include <cmath>
#include <limits>
#include <utility>

#include "kernels/cpu/routines.h"
// must come last:
#include "kernels/cpu/avx512_bf16/simd-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

// e^(x − top). The difference is rounded, and so is its product with log2 e, which gives a relative
// error of 2^-24·(1 + |x − top|).
BIRKHOFF_INLINE V exp_below(V x, V top) {
  return exp2_of(_mm512_mul_ps(_mm512_sub_ps(x, top), set(kLog2E)));
}

}  // namespace

void add_logits(const float* logits, int64_t count, float& maximum, float& sum) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  V highest = set(maximum);
  for (int64_t i = 0; i < count; i += kLanes) {
    const __mmask16 some = first(count - i);
    // The maximum ignores a NaN, but its exponential below is NaN again.
    highest = _mm512_max_ps(_mm512_mask_loadu_ps(set(kLowest), some, logits + i), highest);
  }
  const float most = _mm512_reduce_max_ps(highest);
  V sums[2] = {zero(), zero()};
  for (int64_t i = 0; i < count; i += kLanes) {
    const __mmask16 some = first(count - i);
    const V e = exp_below(load(logits + i, some), set(most));
    sums[0] = _mm512_mask_add_ps(sums[0], some, sums[0], e);
    std::swap(sums[0], sums[1]);
  }
  sum = sum * std::exp(maximum - most) + _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
  maximum = most;
}

void scaled_softmax(const float* logits, int64_t count, float lse, float scale, bf16* dl) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const __mmask16 some = first(count - i);
    store(_mm512_mul_ps(set(scale), exp_below(load(logits + i, some), set(lse))), dl + i, some);
  }
}

}  // namespace birkhoff::cpu::avx512_bf16
