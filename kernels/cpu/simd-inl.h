// Vector helpers of the cpu bodies. Highway's foreach_target includes this file once per target, so
// it has no #pragma once but a guard that is toggled. A cpu body has this form:
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

#include "base/dtype.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

// Calls body(tag, i) for i in steps of whole vectors, then with a one-lane tag for each remaining
// element.
template <class F>
HWY_INLINE void each_vector(int64_t count, F&& body) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(d, i);
  for (; i < count; ++i) body(One(), i);
}

// Loads elements of either storage type as floats.
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const bf16* from) {
  const hn::Rebind<uint16_t, D> half;
  const hn::RebindToUnsigned<D> bits;
  const auto upper = hn::LoadU(half, &from->bits);
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(bits, upper)));
}

// Rounds to bf16, to nearest even like to_bf16(), and returns it in the lower bits of each lane.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> rounded_bits(D, hn::Vec<D> value) {
  const hn::RebindToUnsigned<D> u;
  const auto bits = hn::BitCast(u, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(u, 1u));
  const auto up = hn::Add(bits, hn::Add(odd, hn::Set(u, 0x7FFFu)));
  const auto quiet = hn::Or(bits, hn::Set(u, 0x400000u));  // a NaN stays one
  const auto nan = hn::RebindMask(u, hn::IsNaN(value));
  return hn::ShiftRight<16>(hn::IfThenElse(nan, quiet, up));
}

template <class D>
HWY_INLINE void store(D d, hn::Vec<D> value, float* to) {
  hn::StoreU(value, d, to);
}
template <class D>
HWY_INLINE void store(D d, hn::Vec<D> value, bf16* to) {
  const hn::Rebind<uint16_t, D> half;
  const hn::RebindToSigned<D> whole;  // ≤ 0xFFFF: the saturating conversion is exact
  hn::StoreU(hn::DemoteTo(half, hn::BitCast(whole, rounded_bits(d, value))), half, &to->bits);
}

// The value rounded to bf16 and widened again.
template <class D>
HWY_INLINE hn::Vec<D> as_bf16(D d, hn::Vec<D> value) {
  return hn::BitCast(d, hn::ShiftLeft<16>(rounded_bits(d, value)));
}

// out[i] = base[i] + value; base may be null or out.
template <class D, class T>
HWY_INLINE void set(D d, hn::Vec<D> value, const T* base, T* out, int64_t i) {
  store(d, base ? hn::Add(load(d, base + i), value) : value, out + i);
}

// Σ a[i]·b[i] in four independent sums; the order depends only on count.
template <class A, class B>
HWY_INLINE float dot(const A* a, const B* b, int64_t count) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    s0 = hn::MulAdd(load(d, a + i), load(d, b + i), s0);
    s1 = hn::MulAdd(load(d, a + i + lanes), load(d, b + i + lanes), s1);
    s2 = hn::MulAdd(load(d, a + i + 2 * lanes), load(d, b + i + 2 * lanes), s2);
    s3 = hn::MulAdd(load(d, a + i + 3 * lanes), load(d, b + i + 3 * lanes), s3);
  }
  for (; i + lanes <= count; i += lanes) s0 = hn::MulAdd(load(d, a + i), load(d, b + i), s0);
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < count; ++i) sum += to_float(a[i]) * to_float(b[i]);
  return sum;
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
