#include "kernels/readout.h"
#include "kernels/bodies.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/readout.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/mhc-inl.h"
#include "kernels/cpu/projection_backward-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// σ(scale·u + base) of one residual stream for one vector of tokens.
HWY_INLINE V gate(float scale, float base, V u) {
  const Tag d;
  return sigmoid(hn::MulAdd(hn::Set(d, scale), u, hn::Set(d, base)));
}

template <int kN, class T>
void readout_rows(const Args& a, const ReadoutDesc& desc) {
  using R = Readout;
  const int64_t n = desc.n, wide = a.dim(R::x, 1), width = wide / n;
  const Projection p{a.dim(R::x, 0), n, width, n};
  float* packed = a.shared_workspace<float>();
  pack(p, a.in<float>(R::w), packed, a.team());
  const float scale = *a.in<float>(R::scale), *bias = a.in<float>(R::base);
  a.team().ranges(p.tokens, kTokens, [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
    const ForwardScratch s(Scratch(a.thread_workspace<float>(worker)), p, 0);
    const Tag d;
    const T* x = a.in<T>(R::x) + begin * wide;
    const int64_t m = end - begin;
    project(p, packed, x, m, s.sums, s.u);
    normalise(p, x, m, float(desc.eps), s.u, s.rho);
    for (int64_t e = 0; e < n * kTokens; e += int64_t(hn::Lanes(d)))
      hn::StoreU(hn::Add(gate(scale, bias[e / kTokens], hn::LoadU(d, s.u + e)),
                         hn::Set(d, float(desc.weight_eps))),
                 d, s.c + e);
    const auto base = [&](R::Out k, int64_t count) {
      return a.base<float>(k) ? a.base<float>(k) + begin * count : nullptr;
    };
    if (a.wanted(R::u)) store_columns(s.u, n, m, base(R::u, n), a.out<float>(R::u) + begin * n);
    if (a.wanted(R::rho)) store_columns(s.rho, 1, m, base(R::rho, 1), a.out<float>(R::rho) + begin);
    if (a.wanted(R::y))
      mix<kN>(p, x, s.c, m, a.base<T>(R::y) ? a.base<T>(R::y) + begin * width : nullptr,
              a.out<T>(R::y) + begin * width);
  });
}

using B = ReadoutBackward;

// Fills dz, pre and pull of the block's rows and adds to the sums of its slab.
template <class T>
void tokens_backward(const Args& a, const ReadoutDesc& desc, const Projection& p,
                     const TokenBlock& block) {
  const auto& [s, sums, token, m, row] = block;
  const Tag d;
  const int64_t n = desc.n;
  const float scale = *a.in<float>(B::scale), *bias = a.in<float>(B::base);
  load_columns(a.in<float>(B::u) + token * n, n, m, s.u);
  load_columns(a.in<float>(B::rho) + token, 1, m, s.rho);
  load_dots(a.in<T>(B::dy) + token * p.width, a.in<T>(B::x) + token * n * p.width, p, m, s.d);
  for (int64_t lane = 0; lane < kTokens; lane += int64_t(hn::Lanes(d))) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = i * kTokens + lane;
      const V sigma = gate(scale, bias[i], hn::LoadU(d, s.u + at));
      const V slope = hn::Mul(sigma, hn::Sub(hn::Set(d, 1.0f), sigma));
      hn::StoreU(sigma, d, s.c + at);
      hn::StoreU(hn::Mul(hn::LoadU(d, s.d + at), slope), d, s.d + at);
    }
    const V pull = affine_backward(
        p, [&](int64_t) { return scale; }, s, sums, lane);
    hn::StoreU(pull, d, s.pull + row + lane);
  }
  for (int64_t t = 0; t < m; ++t)
    for (int64_t i = 0; i < n; ++i) {
      s.dz[(row + t) * p.padded() + i] = s.d[i * kTokens + t];
      s.pre[(row + t) * n + i] = s.c[i * kTokens + t] + float(desc.weight_eps);
    }
}

template <int kN, class T>
void readout_backward_rows(const Args& a, const ReadoutDesc& desc) {
  const int64_t n = desc.n;
  const Projection p{a.dim(B::x, 0), n, a.dim(B::x, 1) / n, n};
  const StreamsBackward<T> r{.p = p,
                             .x = a.in<T>(B::x),
                             .dh = a.in<T>(B::dy),
                             .dlink = nullptr,
                             .phi = a.in<float>(B::w),
                             .dx = a.out<T>(B::dx),
                             .dx_base = a.base<T>(B::dx),
                             .dphi = a.out<float>(B::dw),
                             .dphi_base = a.base<float>(B::dw)};
  float* slabs = backward_slabs<kN>(
      a, r, 0, [&](const TokenBlock& block) HWY_ATTR { tokens_backward<T>(a, desc, p, block); });
  double dscale = 0;
  for (int64_t i = 0; i < n; ++i) {
    dscale += column_sum(p, slabs, &SlabSums::products, i);
    store_sum(column_sum(p, slabs, &SlabSums::sums, i), a.base<float>(B::dbase),
              a.out<float>(B::dbase), i);
  }
  store_sum(dscale, a.base<float>(B::dscale), a.out<float>(B::dscale), 0);
}

}  // namespace

void ReadoutRows(const Args& a) {
  const ReadoutDesc& desc = a.desc<ReadoutDesc>();
  with_storage(a.inputs[Readout::x].spec->dtype, [&](auto t) {
    with_streams(desc.n, [&](auto n) { readout_rows<n(), decltype(t)>(a, desc); });
  });
}
void ReadoutBackwardRows(const Args& a) {
  const ReadoutDesc& desc = a.desc<ReadoutDesc>();
  with_storage(a.inputs[B::x].spec->dtype, [&](auto t) {
    with_streams(desc.n, [&](auto n) { readout_backward_rows<n(), decltype(t)>(a, desc); });
  });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

namespace {

HWY_EXPORT(ReadoutRows);
HWY_EXPORT(ReadoutBackwardRows);

Projection projection(const TensorSpec& x, const Desc& d) {
  const int64_t n = d.as<ReadoutDesc>().n;
  return {x.shape[0], n, x.shape[1] / n, n};
}

Workspace workspace(Specs in, const Desc& d) {
  const Projection p = projection(in[Readout::x], d);
  return {.shared = packed_bytes(p), .per_thread = ForwardScratch(Scratch(nullptr), p, 0).bytes};
}

Workspace backward_workspace(Specs in, const Desc& d) {
  const Projection p = projection(in[ReadoutBackward::x], d);
  return {.shared = packed_bytes(p) + size_t(p.slabs()) * slab_bytes(p),
          .per_thread = BackwardScratch(Scratch(nullptr), p, 0).bytes};
}

}  // namespace

constinit const Implementation readout[] = {
    {.name = "cpu", .workspace = workspace, .run = [](const Args& a) {
       HWY_DYNAMIC_DISPATCH(ReadoutRows)(a);
     }}};

constinit const Implementation readout_backward[] = {
    {.name = "cpu", .workspace = backward_workspace, .run = [](const Args& a) {
       HWY_DYNAMIC_DISPATCH(ReadoutBackwardRows)(a);
     }}};

}  // namespace birkhoff::cpu
#endif
