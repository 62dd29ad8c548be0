#include "kernels/adamw.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/adamw.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

void AdamWRange(const Args& a) {
  const auto& desc = a.desc<AdamW::Desc>();
  const float *g = a.in<float>(AdamW::g), *hyper = a.in<float>(AdamW::hyper);
  const float scale = *a.in<float>(AdamW::scale);
  float *p = a.out<float>(AdamW::p), *m = a.out<float>(AdamW::m), *v = a.out<float>(AdamW::v);
  if (!std::isfinite(scale)) return;
  const float lr = hyper[0], c1 = hyper[1], root_c2 = std::sqrt(hyper[2]);
  const float rate1 = float(1 - desc.beta1), rate2 = float(1 - desc.beta2);
  const float eps = float(desc.eps), decay = float(desc.weight_decay);
  a.team().ranges(a.count(AdamW::g), kAdamWTask, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    each_vector(end - begin, [&](auto d, int64_t offset) HWY_ATTR {
      const int64_t i = begin + offset;
      const auto grad = hn::Mul(hn::Set(d, scale), hn::LoadU(d, g + i));
      const auto m0 = hn::LoadU(d, m + i), v0 = hn::LoadU(d, v + i), p0 = hn::LoadU(d, p + i);
      const auto m1 = hn::MulAdd(hn::Set(d, rate1), hn::Sub(grad, m0), m0);
      const auto v1 = hn::MulAdd(hn::Set(d, rate2), hn::Sub(hn::Mul(grad, grad), v0), v0);
      const auto root = hn::MulAdd(hn::Sqrt(v1), hn::Set(d, root_c2), hn::Set(d, eps));
      const auto step = hn::Div(hn::Mul(m1, hn::Set(d, c1)), root);
      const auto move = hn::MulAdd(hn::Set(d, decay), p0, step);
      hn::StoreU(m1, d, m + i);
      hn::StoreU(v1, d, v + i);
      hn::StoreU(hn::NegMulAdd(hn::Set(d, lr), move, p0), d, p + i);
    });
  });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(AdamWRange);

void adamw(const Args& a) { HWY_DYNAMIC_DISPATCH(AdamWRange)(a); }

}  // namespace birkhoff::cpu
#endif
