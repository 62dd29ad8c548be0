#include "kernels/mhc.h"

#include "kernels/bodies.h"
#include "kernels/cpu/mhc_shared.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mhc.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/mhc-inl.h"
#include "kernels/cpu/projection-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// Computes H_pre (with its eps) and H_post of kTokens tokens in s.c, and H_res, from u. Returns
// H_res.
template <int kN>
const float* coefficients(const MhcDesc& desc, const float* alpha, const float* b,
                          const ForwardScratch& s) {
  const Tag d;
  const int64_t n = desc.n;
  const float* res = nullptr;
  for (int64_t lane = 0; lane < kTokens; lane += int64_t(hn::Lanes(d))) {
    gates(desc, alpha, b, s.u + lane, s.c + lane);
    res = Sinkhorn<kN, false>(desc, s.trace + lane).forward(s.c + 2 * n * kTokens + lane) - lane;
    for (int64_t i = 0; i < n; ++i) {
      float *pre = s.c + i * kTokens + lane, *post = pre + n * kTokens;
      hn::StoreU(hn::Add(hn::LoadU(d, pre), hn::Set(d, float(desc.pre_eps()))), d, pre);
      hn::StoreU(hn::Add(hn::LoadU(d, post), hn::LoadU(d, post)), d, post);
    }
  }
  return res;
}

// For m ≤ kTokens tokens from `first` on, stores H_post, H_res, u and rho, and leaves H_pre in s.c.
template <int kN>
void store_coefficients(const Args& a, const ForwardScratch& s, int64_t first, int64_t m) {
  using O = MhcOpen;
  const MhcDesc& desc = a.desc<MhcDesc>();
  const int64_t n = desc.n;
  const float* res = coefficients<kN>(desc, a.in<float>(O::alpha), a.in<float>(O::b), s);
  const auto store = [&](O::Out k, const float* values, int64_t count) {
    if (a.wanted(k))
      store_columns(values, count, m, row(a.base<float>(k), first * count),
                    a.out<float>(k) + first * count);
  };
  store(O::u, s.u, desc.columns());
  store(O::rho, s.rho, 1);
  store(O::post, s.c + n * kTokens, n);
  store(O::res, res, n * n);
}

template <int kN, class T>
void open_rows(const Args& a, const MhcDesc& desc) {
  using O = MhcOpen;
  const int64_t n = desc.n, wide = a.dim(O::x, 1), width = wide / n, columns = desc.columns();
  const Projection p{a.dim(O::x, 0), n, width, columns};
  float* packed = a.shared_workspace<float>();
  pack(p, a.in<float>(O::phi), packed, a.team());
  a.team().ranges(p.tokens, kTokens, [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
    const ForwardScratch s(Scratch(a.thread_workspace<float>(worker)), p,
                           sinkhorn_trace(n, desc.iterations, false));
    const T* x = a.in<T>(O::x) + begin * wide;
    const int64_t m = end - begin;
    project(p, packed, x, m, s.sums, s.u);
    normalise(p, x, m, float(desc.eps), s.u, s.rho);
    store_coefficients<kN>(a, s, begin, m);
    if (a.wanted(O::h))
      mix<kN>(p, x, s.c, m, row(a.base<T>(O::h), begin * width), a.out<T>(O::h) + begin * width);
  });
}

// One token's y_i = base + Σ_j res_ij·x_j + post_i·f; base may be null.
template <class T>
struct Closing {
  int64_t n, width;
  const T *x, *f;
  const float *post, *res;
  const T* base;
  T* y;
};

// For n = 4; each row is read once.
template <class T>
HWY_INLINE void close_four(const Closing<T>& t) {
  const int64_t width = t.width;
  each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
    const auto x0 = load(d, t.x + c), x1 = load(d, t.x + width + c);
    const auto x2 = load(d, t.x + 2 * width + c), x3 = load(d, t.x + 3 * width + c);
    const auto vf = load(d, t.f + c);
    for (int64_t i = 0; i < 4; ++i) {
      auto sum = hn::Mul(hn::Set(d, t.post[i]), vf);
      sum = hn::MulAdd(hn::Set(d, t.res[4 * i]), x0, sum);
      sum = hn::MulAdd(hn::Set(d, t.res[4 * i + 1]), x1, sum);
      sum = hn::MulAdd(hn::Set(d, t.res[4 * i + 2]), x2, sum);
      sum = hn::MulAdd(hn::Set(d, t.res[4 * i + 3]), x3, sum);
      set(d, sum, row(t.base, i * width), t.y + i * width, c);
    }
  });
}

template <class T>
HWY_INLINE void close_any(const Closing<T>& t) {
  for (int64_t i = 0; i < t.n; ++i)
    each_vector(t.width, [&](auto d, int64_t c) HWY_ATTR {
      auto sum = hn::Mul(hn::Set(d, t.post[i]), load(d, t.f + c));
      for (int64_t j = 0; j < t.n; ++j)
        sum = hn::MulAdd(hn::Set(d, t.res[i * t.n + j]), load(d, t.x + j * t.width + c), sum);
      set(d, sum, row(t.base, i * t.width), t.y + i * t.width, c);
    });
}

template <class T>
void close_rows(const Args& a) {
  using O = MhcClose;
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(O::f, 1);
  if (!a.wanted(O::y)) return;
  a.team().ranges(a.dim(O::f, 0), kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t) {
      const Closing<T> token{.n = n,
                             .width = width,
                             .x = a.in<T>(O::link) + t * n * width,
                             .f = a.in<T>(O::f) + t * width,
                             .post = a.in<float>(O::post) + t * n,
                             .res = a.in<float>(O::res) + t * n * n,
                             .base = row(a.base<T>(O::y), t * n * width),
                             .y = a.out<T>(O::y) + t * n * width};
      n == 4 ? close_four(token) : close_any(token);
    }
  });
}

}  // namespace

void OpenRows(const Args& a) {
  const MhcDesc& desc = a.desc<MhcDesc>();
  with_storage(a.inputs[MhcOpen::x].spec->dtype, [&](auto t) {
    with_streams(desc.n, [&](auto n) { open_rows<n(), decltype(t)>(a, desc); });
  });
}
void StoreCoefficients(const Args& a, const ForwardScratch& s, int64_t first, int64_t m) {
  with_streams(a.desc<MhcDesc>().n, [&](auto n) { store_coefficients<n()>(a, s, first, m); });
}
void CloseRows(const Args& a) {
  with_storage(a.inputs[MhcClose::f].spec->dtype, [&](auto t) { close_rows<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(OpenRows);
HWY_EXPORT(StoreCoefficients);
HWY_EXPORT(CloseRows);

void mhc_store_coefficients(const Args& args, const ForwardScratch& s, int64_t first, int64_t m) {
  HWY_DYNAMIC_DISPATCH(StoreCoefficients)(args, s, first, m);
}

namespace {

Workspace open_workspace(Specs in, const Desc& d, size_t (*packed)(const Projection&)) {
  const MhcDesc& desc = d.as<MhcDesc>();
  const Projection p = mhc_projection(in, d);
  const int64_t trace = sinkhorn_trace(desc.n, desc.iterations, false);
  return {.shared = packed(p), .per_thread = ForwardScratch(Scratch(nullptr), p, trace).bytes};
}

}  // namespace

constinit const Implementation mhc_open[] = {
    {.name = "avx512_bf16",
     .accepts = takes_pairs<MhcOpen::x>,
     .workspace = [](Specs in, const Desc& d) { return open_workspace(in, d, pair_packed_bytes); },
     .run = avx512_bf16::mhc_open},
    {.name = "cpu",
     .workspace = [](Specs in, const Desc& d) { return open_workspace(in, d, packed_bytes); },
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(OpenRows)
           (a);
         }},
};

constinit const Implementation mhc_close[] = {
    {.name = "avx512_bf16", .accepts = takes_pairs<MhcClose::link>, .run = avx512_bf16::mhc_close},
    {.name = "cpu",
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(CloseRows)
           (a);
         }},
};

}  // namespace birkhoff::cpu
#endif
