// Exponentials for any input, including NaN and infinity. Included once per target, see simd-inl.h.
#if defined(BIRKHOFF_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_EXP_INL
#undef BIRKHOFF_EXP_INL
#else
#define BIRKHOFF_EXP_INL
#endif

#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

using V = hn::Vec<Tag>;

// e^x for every x. Highway's Exp is accurate to 1 ulp on [−104, 88] but returns garbage for +inf
// and 0 for NaN. A NaN must stay NaN, because a step with one is skipped.
HWY_INLINE V exp_of(V x) {
  const Tag d;
  const V clamped = hn::Min(x, hn::Set(d, 104.0f));
  return hn::IfThenElse(hn::Eq(x, x), hn::Exp(d, clamped), x);
}
HWY_INLINE V sigmoid(V x) {
  const V one = hn::Set(Tag(), 1.0f);
  return hn::Div(one, hn::Add(one, exp_of(hn::Neg(x))));
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
