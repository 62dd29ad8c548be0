// Vector helpers of the cpu bodies; included once per target by Highway's foreach_target (so no
// #pragma once: the guard below is toggled). A cpu body reads:
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm.cpp"
//   #include "kernels/cpu/targets.h"
//   #include "kernels/cpu/simd-inl.h"
//   HWY_BEFORE_NAMESPACE();
//   namespace birkhoff::cpu::HWY_NAMESPACE { … }
//   HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE  … HWY_EXPORT, entry points … #endif
#if defined(BIRKHOFF_SIMD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_SIMD_INL
#undef BIRKHOFF_SIMD_INL
#else
#define BIRKHOFF_SIMD_INL
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

// body(tag, i) for i in steps of whole vectors, then with a one-lane tag for each element left.
template <class F>
HWY_INLINE void each_vector(int64_t count, F&& body) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(d, i);
  for (; i < count; ++i) body(One(), i);
}

// out[i] = base[i] + value, base may be null or out.
template <class D, class V>
HWY_INLINE void set(D d, V value, const float* base, float* out, int64_t i) {
  hn::StoreU(base ? hn::Add(hn::LoadU(d, base + i), value) : value, d, out + i);
}

// Σ a[i]·b[i], four independent sums; the order depends on count alone.
HWY_INLINE float dot(const float* a, const float* b, int64_t count) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    s0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), s0);
    s1 = hn::MulAdd(hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), s1);
    s2 = hn::MulAdd(hn::LoadU(d, a + i + 2 * lanes), hn::LoadU(d, b + i + 2 * lanes), s2);
    s3 = hn::MulAdd(hn::LoadU(d, a + i + 3 * lanes), hn::LoadU(d, b + i + 3 * lanes), s3);
  }
  for (; i + lanes <= count; i += lanes)
    s0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), s0);
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
