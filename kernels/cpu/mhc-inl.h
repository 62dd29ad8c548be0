// The coefficients of mhc of kTokens tokens, one a lane; included like simd-inl.h.
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

// Calls f with n as a compile-time constant where a kernel is unrolled for it, else with 0.
template <class F>
void with_streams(int64_t n, F&& f) {
  n == 4 ? f(std::integral_constant<int, 4>()) : f(std::integral_constant<int, 0>());
}

// One vector of tokens: c = σ(H~) of pre and post and H~ itself of res, from u.
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
