#include "kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/bodies.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// Σ w[i]·a[i]·b[i] in two independent sums; the order depends only on count.
template <class T>
HWY_INLINE float weighted_dot(const float* w, const T* a, const T* b, int64_t count) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0;
  const auto term = [&](int64_t i, auto sum) HWY_ATTR {
    return hn::MulAdd(hn::Mul(hn::LoadU(d, w + i), load(d, a + i)), load(d, b + i), sum);
  };
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) s0 = term(i, s0), s1 = term(i + lanes, s1);
  for (; i + lanes <= count; i += lanes) s0 = term(i, s0);
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
  for (; i < count; ++i) sum += w[i] * to_float(a[i]) * to_float(b[i]);
  return sum;
}

template <class T>
void rows_forward(const Args& a) {
  const int64_t rows = a.dim(RmsNorm::x, 0), width = a.dim(RmsNorm::x, 1);
  const float eps = float(a.desc<RmsNorm::Desc>().eps);
  const T *x = a.in<T>(RmsNorm::x), *base = a.base<T>(RmsNorm::y);
  const float *gain = a.in<float>(RmsNorm::gain), *rstd_base = a.base<float>(RmsNorm::rstd);
  T* y = a.out<T>(RmsNorm::y);
  float* rstd = a.out<float>(RmsNorm::rstd);
  a.team().ranges(rows, kRmsNormTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t) {
      const T* row = x + t * width;
      const float r = 1 / std::sqrt(dot(row, row, width) / float(width) + eps);
      if (rstd) rstd[t] = rstd_base ? rstd_base[t] + r : r;
      if (!y) continue;
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        const auto scaled = hn::Mul(load(d, row + c), hn::Set(d, r));
        set(d, hn::Mul(scaled, hn::LoadU(d, gain + c)), base ? base + t * width : nullptr,
            y + t * width, c);
      });
    }
  });
}

template <class T>
void rows_backward(const Args& a) {
  using B = RmsNormBackward;
  const int64_t rows = a.dim(B::x, 0), width = a.dim(B::x, 1);
  const T *dy = a.in<T>(B::dy), *x = a.in<T>(B::x), *base = a.base<T>(B::dx);
  const float *gain = a.in<float>(B::gain), *rstd = a.in<float>(B::rstd);
  T* dx = a.out<T>(B::dx);
  float* partials = a.shared_workspace<float>();
  a.team().ranges(rows, kRmsNormTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    float* partial = partials + begin / kRmsNormTokens * width;
    std::fill_n(partial, width, 0.0f);
    for (int64_t t = begin; t < end; ++t) {
      const int64_t row = t * width;
      const float pull =
          weighted_dot(gain, dy + row, x + row, width) * rstd[t] * rstd[t] / float(width);
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        const auto vx = load(d, x + row + c), vdy = load(d, dy + row + c);
        const auto r = hn::Set(d, rstd[t]);
        const auto sum = hn::LoadU(d, partial + c);
        hn::StoreU(hn::MulAdd(hn::Mul(vdy, vx), r, sum), d, partial + c);
        if (!dx) return;
        const auto pulled = hn::Mul(vx, hn::Set(d, pull));
        const auto v = hn::Mul(r, hn::Sub(hn::Mul(hn::LoadU(d, gain + c), vdy), pulled));
        set(d, v, base ? base + row : nullptr, dx + row, c);
      });
    }
  });
  float* dgain = a.out<float>(B::dgain);
  const float* gain_base = a.base<float>(B::dgain);
  if (!dgain) return;
  const int64_t blocks = (rows + kRmsNormTokens - 1) / kRmsNormTokens;
  for (int64_t b = 1; b < blocks; ++b)
    each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
      set(d, hn::LoadU(d, partials + b * width + c), partials, partials, c);
    });
  each_vector(width, [&](auto d, int64_t c)
                         HWY_ATTR { set(d, hn::LoadU(d, partials + c), gain_base, dgain, c); });
}

}  // namespace

void RmsNormRows(const Args& a) {
  with_storage(a.inputs[RmsNorm::x].spec->dtype, [&](auto t) { rows_forward<decltype(t)>(a); });
}
void RmsNormBackwardRows(const Args& a) {
  with_storage(a.inputs[RmsNormBackward::x].spec->dtype,
               [&](auto t) { rows_backward<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(RmsNormRows);
HWY_EXPORT(RmsNormBackwardRows);

void rms_norm(const Args& a) { HWY_DYNAMIC_DISPATCH(RmsNormRows)(a); }

constinit const Implementation rms_norm_backward[] = {
    {.name = "cpu",
     .workspace =
         [](Specs in, const Desc&) {
           const Shape& x = in[RmsNormBackward::x].shape;
           const int64_t blocks = (x[0] + kRmsNormTokens - 1) / kRmsNormTokens;
           // Partial sums of dgain.
           return Workspace{.shared = size_t(blocks * x[1]) * sizeof(float)};
         },
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(RmsNormBackwardRows)
           (a);
         }}};

}  // namespace birkhoff::cpu
#endif
