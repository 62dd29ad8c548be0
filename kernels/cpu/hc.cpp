#include "kernels/hc.h"
#include "kernels/bodies.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/hc.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/hc-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// products[r] = <theta_r, x> for one residual stream x [C], followed by <x, x>.
template <int kN, class T>
HWY_INLINE void multiply(const T* x, const float* theta, const HcSizes& z, float* products) {
  if constexpr (kN == 0) {
    for (int64_t r = 0; r < z.rows(); ++r) products[r] = dot(theta + r * z.width, x, z.width);
    products[z.rows()] = dot(x, x, z.width);
  } else {  // x is read once
    const Tag d;
    V sums[kN + 3];
    for (V& sum : sums) sum = hn::Zero(d);
    for (int64_t c = 0; c < z.width; c += int64_t(hn::Lanes(d))) {
      const V vx = load_n(x + c, z.width - c);
      for (int64_t r = 0; r < kN + 2; ++r)
        sums[r] = hn::MulAdd(load_n(theta + r * z.width + c, z.width - c), vx, sums[r]);
      sums[kN + 2] = hn::MulAdd(vx, vx, sums[kN + 2]);
    }
    for (int64_t r = 0; r < kN + 3; ++r) products[r] = hn::GetLane(hn::SumOfLanes(d, sums[r]));
  }
}

// Computes u and rstd of one token x [n, C].
template <int kN, class T>
void normalise_and_project(const HcSizes& z, const T* x, const float* theta, float eps,
                           const HcScratch& s) {
  for (int64_t j = 0; j < z.n; ++j) {
    multiply<kN>(x + j * z.width, theta, z, s.products);
    s.rstd[j] = 1 / std::sqrt(s.products[z.rows()] / float(z.width) + eps);
    for (int64_t r = 0; r < z.rows(); ++r) s.u[r * z.n + j] = s.products[r] * s.rstd[j];
  }
}

// h = base + Σ_j pre_j·x_j for one token.
template <class T>
HWY_INLINE void read_streams(const HcSizes& z, const T* x, const float* pre, const T* base, T* h) {
  each_vector(z.width, [&](auto d, int64_t c) HWY_ATTR {
    auto sum = hn::Mul(hn::Set(d, pre[0]), load(d, x + c));
    for (int64_t j = 1; j < z.n; ++j)
      sum = hn::MulAdd(hn::Set(d, pre[j]), load(d, x + j * z.width + c), sum);
    set(d, sum, base, h, c);
  });
}

template <int kN, class T>
void open_rows(const Args& a, const HcDesc& desc) {
  using O = HcOpen;
  const int64_t n = desc.n, wide = a.dim(O::x, 1);
  const HcSizes z{a.dim(O::x, 0), n, wide / n};
  const float* theta = a.in<float>(O::theta);
  a.team().ranges(z.tokens, kTokens, [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
    const HcScratch s(Scratch(a.thread_workspace<float>(worker)), z);
    load_parameters(desc, a.in<float>(O::alpha), a.in<float>(O::b), z, s);
    for (int64_t t = begin; t < end; ++t) {
      const T* x = a.in<T>(O::x) + t * wide;
      const auto store = [&](O::Out k, const float* values, int64_t count) {
        if (!a.wanted(k)) return;
        const float* base = a.base<float>(k) ? a.base<float>(k) + t * count : nullptr;
        float* out = a.out<float>(k) + t * count;
        for (int64_t e = 0; e < count; ++e) out[e] = base ? base[e] + values[e] : values[e];
      };
      if (theta) {
        normalise_and_project<kN>(z, x, theta, float(desc.eps), s);
        store(O::u, s.u, z.columns());
        store(O::rstd, s.rstd, n);
      }
      coefficients(z, s);
      store(O::post, s.c + n, n);
      store(O::res, s.c + 2 * n, n * n);
      if (a.wanted(O::h))
        read_streams(z, x, s.c, a.base<T>(O::h) ? a.base<T>(O::h) + t * z.width : nullptr,
                     a.out<T>(O::h) + t * z.width);
    }
  });
}

}  // namespace

void HcOpenRows(const Args& a) {
  const HcDesc& desc = a.desc<HcDesc>();
  with_storage(a.inputs[HcOpen::x].spec->dtype, [&](auto t) {
    with_streams(desc.n, [&](auto n) { open_rows<n(), decltype(t)>(a, desc); });
  });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(HcOpenRows);

constinit const Implementation hc_open[] = {
    {.name = "cpu",
     .workspace =
         [](Specs in, const Desc& d) {
           return Workspace{.per_thread = HcScratch(Scratch(nullptr), HcSizes::of(in, d)).bytes};
         },
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(HcOpenRows)
           (a);
         }}};

}  // namespace birkhoff::cpu
#endif
