// The coefficients of mhc for kTokens tokens, one per lane. Included once per target, see
// simd-inl.h.
#if defined(BIRKHOFF_MHC_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_MHC_INL
#undef BIRKHOFF_MHC_INL
#else
#define BIRKHOFF_MHC_INL
#endif

#include <type_traits>

#include "kernels/cpu/sinkhorn-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// Calls f with n as a compile-time constant if kernels are unrolled for it, else with 0.
template <class F>
void with_streams(int64_t n, F&& f) {
  n == 4 ? f(std::integral_constant<int, 4>()) : f(std::integral_constant<int, 0>());
}

// For one vector of tokens, computes c from u: σ(H~) for pre and post, H~ itself for res.
HWY_INLINE void gates(const MhcDesc& desc, const float* alpha, const float* b, const float* u,
                      float* c) {
  const Tag d;
  for (int64_t k = 0; k < desc.columns(); ++k) {
    const V logit = hn::MulAdd(hn::Set(d, alpha[desc.group(k)]), hn::LoadU(d, u + k * kTokens),
                               hn::Set(d, b[k]));
    hn::StoreU(k < 2 * desc.n ? sigmoid(logit) : logit, d, c + k * kTokens);
  }
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
