// The coefficients of hc for one token. Included once per target, see simd-inl.h.
#if defined(BIRKHOFF_HC_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_HC_INL
#undef BIRKHOFF_HC_INL
#else
#define BIRKHOFF_HC_INL
#endif

#include "kernels/cpu/hc.h"
#include "kernels/cpu/mhc-inl.h"
#include "kernels/cpu/projection-inl.h"
#include "kernels/hc.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// tanh x for every x. Highway's Tanh is accurate to 4 ulp but turns NaN into a number; beyond ±10
// tanh is ±1 in f32 (1 − tanh 10 = 4e-9).
HWY_INLINE V tanh_of(V x) {
  const Tag d;
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, -10.0f)), hn::Set(d, 10.0f));
  return hn::IfThenElse(hn::Eq(x, x), hn::Tanh(d, clamped), x);
}

// Expands alpha per column and copies b, zero-pads both, and clears the per-token arrays. alpha is
// null in static HC.
inline void load_parameters(const HcDesc& desc, const float* alpha, const float* b,
                            const HcSizes& z, const HcScratch& s) {
  for (float* values : {s.alpha, s.b, s.u, s.tanh_u, s.d}) std::fill_n(values, z.padded(), 0.0f);
  for (int64_t k = 0; k < z.columns(); ++k) {
    if (alpha) s.alpha[k] = alpha[desc.group(k)];
    s.b[k] = b[k];
  }
}

// Computes tanh(u) and H~ = alpha ⊙ tanh(u) + b; in static HC alpha and u are 0.
HWY_INLINE void coefficients(const HcSizes& z, const HcScratch& s) {
  const Tag d;
  for (int64_t k = 0; k < z.padded(); k += int64_t(hn::Lanes(d))) {
    const V value = tanh_of(hn::LoadU(d, s.u + k));
    hn::StoreU(value, d, s.tanh_u + k);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, s.alpha + k), value, hn::LoadU(d, s.b + k)), d, s.c + k);
  }
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
