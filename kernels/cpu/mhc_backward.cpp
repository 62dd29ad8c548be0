#include "kernels/mhc.h"

#include "kernels/bodies.h"
#include "kernels/cpu/mhc_shared.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mhc_backward.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/mhc-inl.h"
#include "kernels/cpu/projection_backward-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

using B = MhcOpenBackward;

// For one vector of tokens, replaces dpre, dpost and dres in s.d by dz and returns pull.
template <int kN>
V coefficients_backward(const Args& a, const MhcDesc& desc, const Projection& p,
                        const BackwardScratch& s, const SlabSums& sums, int64_t lane) {
  const Tag tag;
  const int64_t n = desc.n;
  const float* alpha = a.in<float>(B::alpha);
  float *u = s.u + lane, *c = s.c + lane, *d = s.d + lane;
  gates(desc, alpha, a.in<float>(B::b), u, c);
  const V one = hn::Set(tag, 1.0f);
  for (int64_t k = 0; k < 2 * n; ++k) {  // pre = σ, post = 2σ;  dσ = σ·(1 − σ)
    const V gate = hn::LoadU(tag, c + k * kTokens), dk = hn::LoadU(tag, d + k * kTokens);
    const V slope = hn::Mul(gate, hn::Sub(one, gate));
    hn::StoreU(hn::Mul(k < n ? dk : hn::Add(dk, dk), slope), tag, d + k * kTokens);
  }
  Sinkhorn<kN, true> sinkhorn(desc, s.trace + lane);
  const float* res = sinkhorn.forward(c + 2 * n * kTokens);
  sinkhorn.backward(d + 2 * n * kTokens);
  for (int64_t e = 0; e < n * n; ++e)  // c no longer needs the logits
    hn::StoreU(hn::LoadU(tag, res + e * kTokens), tag, c + (2 * n + e) * kTokens);
  return affine_backward(
      p, [&](int64_t k) { return alpha[desc.group(k)]; }, s, sums, lane);
}

// Sets dz, pull, pre and res of the block. On entry s.d holds <dh, x_i> and <dlink_i, x_j> in the
// columns of pre and res.
template <int kN>
void tokens_backward(const Args& a, const MhcDesc& desc, const Projection& p,
                     const TokenBlock& block) {
  const auto& [s, sums, token, m, row] = block;
  const int64_t n = desc.n, first = token;  // C++20's lambdas capture bindings, clang 14's do not
  const auto at = [&](B::In i, int64_t width) {
    return a.has(i) ? a.in<float>(i) + first * width : nullptr;
  };
  load_columns(at(B::u, p.columns), p.columns, m, s.u);
  load_columns(at(B::rho, 1), 1, m, s.rho);
  load_columns(at(B::dpost, n), n, m, s.d + n * kTokens);
  if (const float* dres = at(B::dres, n * n))
    for (int64_t t = 0; t < m; ++t)
      for (int64_t e = 0; e < n * n; ++e) s.d[(2 * n + e) * kTokens + t] += dres[t * n * n + e];
  const Tag d;
  for (int64_t lane = 0; lane < kTokens; lane += int64_t(hn::Lanes(d)))
    hn::StoreU(coefficients_backward<kN>(a, desc, p, s, sums, lane), d, s.pull + row + lane);
  for (int64_t t = 0; t < m; ++t) {
    for (int64_t k = 0; k < p.columns; ++k) s.dz[(row + t) * p.padded() + k] = s.d[k * kTokens + t];
    for (int64_t i = 0; i < n; ++i)
      s.pre[(row + t) * n + i] = s.c[i * kTokens + t] + float(desc.pre_eps());
    for (int64_t e = 0; e < n * n; ++e)
      s.res[(row + t) * n * n + e] = s.c[(2 * n + e) * kTokens + t];
  }
}

// Stores dalpha and db from the sums of the slabs.
void store_sums(const Args& a, const MhcDesc& desc, const Projection& p, float* slabs) {
  double dalpha[3] = {};
  for (int64_t k = 0; k < p.columns; ++k) {
    dalpha[desc.group(k)] += column_sum(p, slabs, &SlabSums::products, k);
    store_sum(column_sum(p, slabs, &SlabSums::sums, k), a.base<float>(B::db), a.out<float>(B::db),
              k);
  }
  for (int64_t g = 0; g < 3; ++g)
    store_sum(dalpha[g], a.base<float>(B::dalpha), a.out<float>(B::dalpha), g);
}

// All <dlink_i, x_j> of one token for n = 4, stored kTokens apart. Each row is read once.
template <class T>
HWY_INLINE void products_four(const T* dlink, const T* x, int64_t width, float* values) {
  const Tag d;
  V sums[4][4];
  for (auto& line : sums)
    for (V& v : line) v = hn::Zero(d);
  for (int64_t c = 0; c < width; c += int64_t(hn::Lanes(d))) {
    const int64_t left = width - c;
    V vx[4];
    for (int64_t j = 0; j < 4; ++j) vx[j] = load_n(x + j * width + c, left);
    for (int64_t i = 0; i < 4; ++i) {
      const V row = load_n(dlink + i * width + c, left);
      for (int64_t j = 0; j < 4; ++j) sums[i][j] = hn::MulAdd(row, vx[j], sums[i][j]);
    }
  }
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 4; ++j)
      values[(4 * i + j) * kTokens] = hn::GetLane(hn::SumOfLanes(d, sums[i][j]));
}

// values[i·n + j, t] = <dlink_ti, x_tj> for m tokens; zero for the lanes from m on, and everywhere
// if dlink is null.
template <class T>
HWY_INLINE void load_products(const T* dlink, const T* x, const Projection& p, int64_t m,
                              float* values) {
  const int64_t n = p.n, width = p.width;
  std::fill_n(values, n * n * kTokens, 0.0f);
  for (int64_t t = 0; dlink && t < m; ++t, dlink += n * width, x += n * width) {
    if (n == 4) {
      products_four(dlink, x, width, values + t);
      continue;
    }
    for (int64_t e = 0; e < n * n; ++e)
      values[e * kTokens + t] = dot(dlink + e / n * width, x + e % n * width, width);
  }
}

template <int kN, class T>
void open_backward(const Args& a, const MhcDesc& desc) {
  const int64_t n = desc.n;
  const Projection p{a.dim(B::x, 0), n, a.dim(B::x, 1) / n, desc.columns()};
  const StreamsBackward<T> r{.p = p,
                             .x = a.in<T>(B::x),
                             .dh = a.in<T>(B::dh),
                             .dlink = a.in<T>(B::dlink),
                             .phi = a.in<float>(B::phi),
                             .dx = a.out<T>(B::dx),
                             .dx_base = a.base<T>(B::dx),
                             .dphi = a.out<float>(B::dphi),
                             .dphi_base = a.base<float>(B::dphi)};
  const auto coefficients = [&](const TokenBlock& b) HWY_ATTR {
    const T *x = r.x + b.token * n * p.width, *dlink = row(r.dlink, b.token * n * p.width);
    load_dots(row(r.dh, b.token * p.width), x, p, b.m, b.s.d);
    load_products(dlink, x, p, b.m, b.s.d + 2 * n * kTokens);
    tokens_backward<kN>(a, desc, p, b);
  };
  store_sums(a, desc, p,
             backward_slabs<kN>(a, r, sinkhorn_trace(n, desc.iterations, true), coefficients));
}

template <class T>
HWY_INLINE void close_backward(const Args& a, int64_t t, int64_t n, int64_t width, float* dpost) {
  using C = MhcCloseBackward;
  const T *dy = a.in<T>(C::dy) + t * n * width, *f = a.in<T>(C::f) + t * width;
  const float* post = a.in<float>(C::post) + t * n;
  if (a.wanted(C::dpost)) {
    for (int64_t i = 0; i < n; ++i) dpost[i] = dot(dy + i * width, f, width);
    float* out = a.out<float>(C::dpost) + t * n;
    const float* base = row(a.base<float>(C::dpost), t * n);
    for (int64_t i = 0; i < n; ++i) out[i] = base ? base[i] + dpost[i] : dpost[i];
  }
  if (!a.wanted(C::df)) return;
  const T* base = row(a.base<T>(C::df), t * width);
  each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
    auto sum = hn::Mul(hn::Set(d, post[0]), load(d, dy + c));
    for (int64_t i = 1; i < n; ++i)
      sum = hn::MulAdd(hn::Set(d, post[i]), load(d, dy + i * width + c), sum);
    set(d, sum, base, a.out<T>(C::df) + t * width, c);
  });
}

template <class T>
void close_backward_rows(const Args& a) {
  using C = MhcCloseBackward;
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(C::f, 1);
  a.team().ranges(a.dim(C::f, 0), kTokens, [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t)
      close_backward<T>(a, t, n, width, a.thread_workspace<float>(worker));
  });
}

}  // namespace

void OpenBackwardRows(const Args& a) {
  const MhcDesc& desc = a.desc<MhcDesc>();
  with_storage(a.inputs[B::x].spec->dtype, [&](auto t) {
    with_streams(desc.n, [&](auto n) { open_backward<n(), decltype(t)>(a, desc); });
  });
}
void TokensBackward(const Args& a, const Projection& p, const TokenBlock& block) {
  const MhcDesc& desc = a.desc<MhcDesc>();
  with_streams(desc.n, [&](auto n) { tokens_backward<n()>(a, desc, p, block); });
}
void StoreBackwardSums(const Args& a, const Projection& p, float* slabs) {
  if (a.wanted(B::dphi))
    store_dphi(p, slabs, a.base<float>(B::dphi), a.out<float>(B::dphi), a.team());
  store_sums(a, a.desc<MhcDesc>(), p, slabs);
}
void CloseBackwardRows(const Args& a) {
  with_storage(a.inputs[MhcCloseBackward::f].spec->dtype,
               [&](auto t) { close_backward_rows<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(OpenBackwardRows);
HWY_EXPORT(TokensBackward);
HWY_EXPORT(StoreBackwardSums);
HWY_EXPORT(CloseBackwardRows);

void mhc_tokens_backward(const Args& args, const Projection& p, const TokenBlock& block) {
  HWY_DYNAMIC_DISPATCH(TokensBackward)(args, p, block);
}
void mhc_store_backward_sums(const Args& args, const Projection& p, float* slabs) {
  HWY_DYNAMIC_DISPATCH(StoreBackwardSums)(args, p, slabs);
}

namespace {

Workspace open_workspace(Specs in, const Desc& d) {
  const MhcDesc& desc = d.as<MhcDesc>();
  const Projection p = mhc_projection(in, d);
  const int64_t trace = sinkhorn_trace(desc.n, desc.iterations, true);
  return {.shared = packed_bytes(p) + size_t(p.slabs()) * slab_bytes(p),
          .per_thread = BackwardScratch(Scratch(nullptr), p, trace).bytes};
}

// phi is packed as bf16 there.
Workspace pair_open_workspace(Specs in, const Desc& d) {
  const Projection p = mhc_projection(in, d);
  Workspace w = open_workspace(in, d);
  w.shared -= packed_bytes(p) / 2;
  w.per_thread += PairScratch(Scratch(nullptr), p).bytes;
  return w;
}

// A token's dpost.
Workspace close_workspace(Specs, const Desc& d) {
  return {.per_thread = size_t(d.as<StreamsDesc>().n) * sizeof(float)};
}

}  // namespace

constinit const Implementation mhc_open_backward[] = {
    {.name = "avx512_bf16",
     .accepts = takes_pairs<MhcOpenBackward::x>,
     .workspace = pair_open_workspace,
     .run = avx512_bf16::mhc_open_backward},
    {.name = "cpu",
     .workspace = open_workspace,
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(OpenBackwardRows)
           (a);
         }},
};

constinit const Implementation mhc_close_backward[] = {
    {.name = "avx512_bf16",
     .accepts = takes_pairs<MhcCloseBackward::dy>,
     .workspace = close_workspace,
     .run = avx512_bf16::mhc_close_backward},
    {.name = "cpu",
     .workspace = close_workspace,
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(CloseBackwardRows)
           (a);
         }},
};

}  // namespace birkhoff::cpu
#endif
