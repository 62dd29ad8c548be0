#include "kernels/dispatch.h"

#include <algorithm>

#include "kernels/cpu/result_of.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dispatch.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/copy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

template <class T>
void dispatch_rows(const Args& a) {
  using D = Dispatch;
  const int64_t width = a.dim(D::x, 1), k = a.dim(D::row, 1);
  const int64_t used = a.in<int32_t>(D::offsets)[a.dim(D::offsets, 0) - 1];
  const int32_t* source = a.in<int32_t>(D::source);
  const T* x = a.in<T>(D::x);
  const To<T> buffer(a, D::buffer);
  a.team().ranges(used, kDispatchRows, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) buffer.copy(x + source[i] / k * width, i * width, width);
  });
}

// out[t] = base[t] + Σ_j weight[t, j]·buffer[row[t, j]]; a null weight means all 1. An absent base
// adds +0, so that any number of rounds gives the same bits (dispatch.h): otherwise a sum of −0
// would keep its sign in one round and lose it in two.
template <class T>
struct Gather {
  const T* buffer;
  const float* weight;
  const int32_t* row;
  const T* base;
  T* out;
  int64_t width, k;
};
template <class T>
void gather_token(const Gather<T>& g, int64_t t) {
  const int32_t* row = g.row + t * g.k;
  const T* base = g.base ? g.base + t * g.width : nullptr;
  T* out = g.out + t * g.width;
  if (row[0] < 0) {
    if (!base)
      std::fill_n(out, g.width, T());
    else if (base != out)
      std::copy_n(base, g.width, out);
    return;
  }
  each_vector(g.width, [&](auto d, int64_t c) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (int64_t j = 0; j < g.k; ++j) {
      const auto v = load(d, g.buffer + row[j] * g.width + c);
      sum = g.weight ? hn::MulAdd(hn::Set(d, g.weight[t * g.k + j]), v, sum) : hn::Add(v, sum);
    }
    store(d, hn::Add(sum, base ? load(d, base + c) : hn::Zero(d)), out + c);
  });
}

template <class T>
void dispatch_backward_rows(const Args& a) {
  using B = DispatchBackward;
  const Gather<T> g{a.in<T>(B::dbuffer), nullptr,         a.in<int32_t>(B::row),
                    a.base<T>(B::dx),    a.out<T>(B::dx), a.dim(B::dbuffer, 1),
                    a.dim(B::row, 1)};
  if (!g.out) return;
  a.team().ranges(a.dim(B::row, 0), kDispatchRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) gather_token(g, t);
  });
}

template <class T>
void combine_rows(const Args& a) {
  using C = Combine;
  const Gather<T> g{a.in<T>(C::buffer), a.in<float>(C::weight), a.in<int32_t>(C::row),
                    a.base<T>(C::y),    a.out<T>(C::y),         a.dim(C::buffer, 1),
                    a.dim(C::row, 1)};
  if (!g.out) return;
  a.team().ranges(a.dim(C::row, 0), kDispatchRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) gather_token(g, t);
  });
}

template <class T>
void combine_backward_rows(const Args& a) {
  using B = CombineBackward;
  const int64_t width = a.dim(B::buffer, 1), pairs = a.count(B::row), k = a.dim(B::row, 1);
  const int64_t used = a.in<int32_t>(B::offsets)[a.dim(B::offsets, 0) - 1];
  const int32_t *source = a.in<int32_t>(B::source), *row = a.in<int32_t>(B::row);
  const T *dy = a.in<T>(B::dy), *buffer = a.in<T>(B::buffer), *base = a.base<T>(B::dbuffer);
  const float* weight = a.in<float>(B::weight);
  const float* weight_base = a.base<float>(B::dweight);
  T* dbuffer = a.out<T>(B::dbuffer);
  float* dweight = a.out<float>(B::dweight);
  const ResultOf<float> unused(a, B::dweight);
  for (int64_t j = 0; j < pairs; ++j)
    if (row[j] < 0) unused.keep(j);
  a.team().ranges(used, kDispatchRows, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t pair = source[i];
      const T* from = dy + pair / k * width;
      // An absent base adds +0, as in gather_token.
      if (dweight)
        dweight[pair] =
            dot(from, buffer + i * width, width) + (weight_base ? weight_base[pair] : 0.0f);
      if (!dbuffer) continue;
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        set(d, hn::Mul(hn::Set(d, weight[pair]), load(d, from + c)),
            base ? base + i * width : nullptr, dbuffer + i * width, c);
      });
    }
  });
}

}  // namespace

void DispatchRows(const Args& a) {
  with_storage(a.inputs[Dispatch::x].spec->dtype, [&](auto t) { dispatch_rows<decltype(t)>(a); });
}
void DispatchBackwardRows(const Args& a) {
  with_storage(a.inputs[DispatchBackward::dbuffer].spec->dtype,
               [&](auto t) { dispatch_backward_rows<decltype(t)>(a); });
}
void CombineRows(const Args& a) {
  with_storage(a.inputs[Combine::buffer].spec->dtype,
               [&](auto t) { combine_rows<decltype(t)>(a); });
}
void CombineBackwardRows(const Args& a) {
  with_storage(a.inputs[CombineBackward::buffer].spec->dtype,
               [&](auto t) { combine_backward_rows<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(DispatchRows);
HWY_EXPORT(DispatchBackwardRows);
HWY_EXPORT(CombineRows);
HWY_EXPORT(CombineBackwardRows);

void dispatch(const Args& a) { HWY_DYNAMIC_DISPATCH(DispatchRows)(a); }
void dispatch_backward(const Args& a) { HWY_DYNAMIC_DISPATCH(DispatchBackwardRows)(a); }
void combine(const Args& a) { HWY_DYNAMIC_DISPATCH(CombineRows)(a); }
void combine_backward(const Args& a) { HWY_DYNAMIC_DISPATCH(CombineBackwardRows)(a); }

}  // namespace birkhoff::cpu
#endif
