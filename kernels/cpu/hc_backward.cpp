#include "kernels/bodies.h"
#include "kernels/hc.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/hc_backward.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/hc-inl.h"
#include "kernels/cpu/projection_backward-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

using B = HcOpenBackward;

// Sets d to the gradient of H~ of token t.
template <class T>
void load_gradients(const Args& a, const HcSizes& z, int64_t t, float* d) {
  const int64_t n = z.n;
  const T* x = a.in<T>(B::x) + t * n * z.width;
  const T* dh = a.has(B::dh) ? a.in<T>(B::dh) + t * z.width : nullptr;
  for (int64_t j = 0; j < n; ++j) d[j] = dh ? dot(dh, x + j * z.width, z.width) : 0;
  for (int64_t j = 0; j < n; ++j) d[n + j] = a.has(B::dpost) ? a.in<float>(B::dpost)[t * n + j] : 0;
  const T* dlink = a.has(B::dlink) ? a.in<T>(B::dlink) + t * n * z.width : nullptr;
  for (int64_t e = 0; e < n * n; ++e) {
    const float given = a.has(B::dres) ? a.in<float>(B::dres)[t * n * n + e] : 0;
    d[2 * n + e] =
        dlink ? given + dot(dlink + e / n * z.width, x + e % n * z.width, z.width) : given;
  }
}

// Takes the gradient of H~ from s.d; replaces it by dz = rstd·du and sets s.pull.
HWY_INLINE void through_tanh(const HcSizes& z, const HcScratch& s) {
  const Tag tag;
  const V one = hn::Set(tag, 1.0f);
  for (int64_t k = 0; k < z.padded(); k += int64_t(hn::Lanes(tag))) {
    const V value = hn::LoadU(tag, s.tanh_u + k);
    const V slope = hn::Mul(hn::Sub(one, value), hn::Add(one, value));
    const V scaled = hn::Mul(hn::LoadU(tag, s.alpha + k), hn::LoadU(tag, s.d + k));
    hn::StoreU(hn::Mul(scaled, slope), tag, s.d + k);
  }
  for (int64_t j = 0; j < z.n; ++j) {
    float pull = 0;
    for (int64_t k = j; k < z.columns(); k += z.n) {
      pull -= s.d[k] * s.u[k];
      s.d[k] *= s.rstd[j];
    }
    s.pull[j] = pull * s.rstd[j] * s.rstd[j] / float(z.width);
  }
}

// Rows of one token, null if absent or unwanted. theta and dtheta are shared by all tokens.
template <class T>
struct HcRows {
  const T *x, *dh, *dlink, *dx_base;
  const float* theta;
  T* dx;
  float* dtheta;
};

// Residual streams are processed kStreams at a time, so that every row is read once for all of
// them.
inline constexpr int64_t kStreams = 4;

// Computes dx of kStreams residual streams from `first` on (fewer if fewer are left) and adds their
// part of dtheta. kFull means that there are kStreams of them.
template <bool kFull, class T>
HWY_INLINE void add_streams(const HcSizes& z, const HcScratch& s, const HcRows<T>& rows,
                            int64_t first) {
  const int64_t n = z.n, width = z.width, m = kFull ? kStreams : std::min(kStreams, n - first);
  const float *res = s.c + 2 * n + first, *dz = s.d + first;
  each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
    hn::Vec<decltype(d)> x[kStreams], sum[kStreams];
    const auto add = [&](const float* weights, const auto* row) HWY_ATTR {  // to each sum
      const auto value = load(d, row + c);
      for (int64_t j = 0; j < m; ++j) sum[j] = hn::MulAdd(hn::Set(d, weights[j]), value, sum[j]);
    };
    for (int64_t j = 0; j < m; ++j) {
      x[j] = load(d, rows.x + (first + j) * width + c);
      sum[j] = rows.theta ? hn::Mul(hn::Set(d, s.pull[first + j]), x[j]) : hn::Zero(d);
    }
    if (rows.dh) add(s.c + first, rows.dh);
    for (int64_t i = 0; rows.dlink && i < n; ++i) add(res + i * n, rows.dlink + i * width);
    for (int64_t r = 0; rows.theta && r < z.rows(); ++r) {
      add(dz + r * n, rows.theta + r * width);
      auto dtheta = hn::LoadU(d, rows.dtheta + r * width + c);
      for (int64_t j = 0; j < m; ++j) dtheta = hn::MulAdd(hn::Set(d, dz[r * n + j]), x[j], dtheta);
      hn::StoreU(dtheta, d, rows.dtheta + r * width + c);
    }
    for (int64_t j = 0; rows.dx && j < m; ++j)
      set(d, sum[j], rows.dx_base ? rows.dx_base + (first + j) * width : nullptr,
          rows.dx + (first + j) * width, c);
  });
}

template <int kN, class T>
void token_backward(const Args& a, const HcSizes& z, const HcScratch& s, const HcSlab& slab,
                    int64_t t) {
  const int64_t n = z.n, wide = n * z.width, columns = z.columns();
  const bool dynamic = a.has(B::theta);
  if (dynamic) {
    std::copy_n(a.in<float>(B::u) + t * columns, columns, s.u);
    std::copy_n(a.in<float>(B::rstd) + t * n, n, s.rstd);
  }
  coefficients(z, s);
  load_gradients<T>(a, z, t, s.d);
  for (int64_t k = 0; k < columns; ++k) {
    slab.products[k] += double(s.d[k]) * double(s.tanh_u[k]);
    slab.sums[k] += double(s.d[k]);
  }
  if (dynamic) through_tanh(z, s);
  const auto row = [&](B::In i, int64_t width) {
    return a.has(i) ? a.in<T>(i) + t * width : nullptr;
  };
  const HcRows<T> rows{.x = row(B::x, wide),
                       .dh = row(B::dh, z.width),
                       .dlink = row(B::dlink, wide),
                       .dx_base = a.base<T>(B::dx) ? a.base<T>(B::dx) + t * wide : nullptr,
                       .theta = a.in<float>(B::theta),
                       .dx = a.wanted(B::dx) ? a.out<T>(B::dx) + t * wide : nullptr,
                       .dtheta = slab.dtheta};
  for (int64_t first = 0; first < n; first += kStreams)
    add_streams<kN == kStreams>(z, s, rows, first);
}

// Sums element k of the member `of` over the slabs, in order.
inline double slab_sum(const HcSizes& z, float* slabs_at, double* HcSlab::*of, int64_t k) {
  double sum = 0;
  for (int64_t i = 0; i < slabs(z.tokens); ++i)
    sum += (HcSlab(Scratch(slabs_at + i * int64_t(hc_slab_bytes(z) / sizeof(float))), z).*of)[k];
  return sum;
}

void store_parameters(const Args& a, const HcDesc& desc, const HcSizes& z, float* slabs_at) {
  double dalpha[3] = {};
  for (int64_t k = 0; k < z.columns(); ++k) {
    dalpha[desc.group(k)] += slab_sum(z, slabs_at, &HcSlab::products, k);
    store_sum(slab_sum(z, slabs_at, &HcSlab::sums, k), a.base<float>(B::db), a.out<float>(B::db),
              k);
  }
  if (!a.has(B::theta)) return;
  for (int64_t g = 0; g < 3; ++g)
    store_sum(dalpha[g], a.base<float>(B::dalpha), a.out<float>(B::dalpha), g);
  if (!a.wanted(B::dtheta)) return;
  const int64_t slab = int64_t(hc_slab_bytes(z) / sizeof(float));
  each_vector(z.rows() * z.width, [&](auto d, int64_t e) HWY_ATTR {
    auto sum = hn::LoadU(d, slabs_at + e);  // HcSlab starts with dtheta
    for (int64_t i = 1; i < slabs(z.tokens); ++i)
      sum = hn::Add(sum, hn::LoadU(d, slabs_at + i * slab + e));
    set(d, sum, a.base<float>(B::dtheta), a.out<float>(B::dtheta), e);
  });
}

template <int kN, class T>
void open_backward(const Args& a, const HcDesc& desc) {
  const int64_t n = desc.n, per_slab = slab_tokens(a.dim(B::x, 0));
  const HcSizes z{a.dim(B::x, 0), n, a.dim(B::x, 1) / n};
  float* slabs_at = a.shared_workspace<float>();
  const int64_t slab_floats = int64_t(hc_slab_bytes(z) / sizeof(float));
  a.team().run(slabs(z.tokens), [&](int64_t i, int worker) HWY_ATTR {
    const HcScratch s(Scratch(a.thread_workspace<float>(worker)), z);
    const HcSlab slab(Scratch(slabs_at + i * slab_floats), z);
    std::fill_n(slab.dtheta, z.rows() * z.width, 0.0f);
    std::fill_n(slab.products, z.columns(), 0.0);
    std::fill_n(slab.sums, z.columns(), 0.0);
    load_parameters(desc, a.in<float>(B::alpha), a.in<float>(B::b), z, s);
    for (int64_t t = i * per_slab; t < std::min((i + 1) * per_slab, z.tokens); ++t)
      token_backward<kN, T>(a, z, s, slab, t);
  });
  store_parameters(a, desc, z, slabs_at);
}

}  // namespace

void HcOpenBackwardRows(const Args& a) {
  const HcDesc& desc = a.desc<HcDesc>();
  with_storage(a.inputs[B::x].spec->dtype, [&](auto t) {
    with_streams(desc.n, [&](auto n) { open_backward<n(), decltype(t)>(a, desc); });
  });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(HcOpenBackwardRows);

constinit const Implementation hc_open_backward[] = {
    {.name = "cpu",
     .workspace =
         [](Specs in, const Desc& d) {
           const HcSizes z = HcSizes::of(in, d);
           return Workspace{.shared = size_t(slabs(z.tokens)) * hc_slab_bytes(z),
                            .per_thread = HcScratch(Scratch(nullptr), z).bytes};
         },
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(HcOpenBackwardRows)
           (a);
         }}};

}  // namespace birkhoff::cpu
#endif
