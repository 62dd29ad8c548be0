#include "kernels/swiglu.h"

#include "kernels/bodies.h"
#include "kernels/cpu/swiglu.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/swiglu.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {

// Uses e^−|x|, which neither overflows nor cancels.
template <class D, class V>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f), e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

template <class T>
void rows_forward(const Args& a) {
  const int64_t width = a.dim(Swiglu::x, 1) / 2;
  const T *x = a.in<T>(Swiglu::x), *base = a.base<T>(Swiglu::y);
  T* y = a.out<T>(Swiglu::y);
  const int64_t rows = swiglu_rows(a, Swiglu::x, Swiglu::offsets);
  a.team().ranges(rows, kSwigluRows, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) {
      const T *gate = x + r * 2 * width, *up = gate + width;
      each_vector(width, [&](auto d, int64_t f) HWY_ATTR {
        const auto g = load(d, gate + f);
        const auto v = hn::Mul(hn::Mul(g, sigmoid(d, g)), load(d, up + f));
        set(d, v, base ? base + r * width : nullptr, y + r * width, f);
      });
    }
  });
}

template <class T>
void rows_backward(const Args& a) {
  using B = SwigluBackward;
  const int64_t width = a.dim(B::x, 1) / 2;
  const T *dy = a.in<T>(B::dy), *x = a.in<T>(B::x), *base = a.base<T>(B::dx);
  T* dx = a.out<T>(B::dx);
  const int64_t rows = swiglu_rows(a, B::x, B::offsets);
  a.team().ranges(rows, kSwigluRows, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t row = r * 2 * width;
      const T *gate = x + row, *up = gate + width, *from = base ? base + row : nullptr;
      each_vector(width, [&](auto d, int64_t f) HWY_ATTR {
        const auto one = hn::Set(d, 1.0f);
        const auto g = load(d, gate + f), s = sigmoid(d, g);
        const auto ds = hn::Mul(load(d, dy + r * width + f), s);
        const auto slope = hn::MulAdd(g, hn::Sub(one, s), one);
        set(d, hn::Mul(hn::Mul(ds, load(d, up + f)), slope), from, dx + row, f);
        set(d, hn::Mul(ds, g), from ? from + width : nullptr, dx + row + width, f);
      });
    }
  });
}

}  // namespace

void SwigluRows(const Args& a) {
  with_storage(a.inputs[Swiglu::x].spec->dtype, [&](auto t) { rows_forward<decltype(t)>(a); });
}
void SwigluBackwardRows(const Args& a) {
  with_storage(a.inputs[SwigluBackward::x].spec->dtype,
               [&](auto t) { rows_backward<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(SwigluRows);
HWY_EXPORT(SwigluBackwardRows);

int64_t swiglu_rows(const Args& a, int x, int offsets) {
  const int64_t rows = a.dim(x, 0);
  if (!a.has(offsets)) return rows;
  const int64_t valid = a.in<int32_t>(offsets)[a.dim(offsets, 0) - 1];
  check(0 <= valid && valid <= rows, "[swiglu] {} valid rows do not lie within {} rows", valid,
        rows);
  return valid;
}

namespace {

template <int kX>
bool takes_pairs(Specs in, const Desc&, const Features& features) {
  return features.avx512_bf16 && in[kX].dtype == DType::bf16;
}

}  // namespace

constinit const Implementation swiglu[] = {
    {.name = "avx512_bf16",
     .accepts = takes_pairs<Swiglu::x>,
     .run =
         [](const Args& a) {
           if (a.wanted(Swiglu::y)) avx512_bf16::swiglu(a);
         }},
    {.name = "cpu",
     .run =
         [](const Args& a) {
           if (a.wanted(Swiglu::y)) HWY_DYNAMIC_DISPATCH(SwigluRows)(a);
         }},
};

constinit const Implementation swiglu_backward[] = {
    {.name = "avx512_bf16",
     .accepts = takes_pairs<SwigluBackward::x>,
     .run =
         [](const Args& a) {
           if (a.wanted(SwigluBackward::dx)) avx512_bf16::swiglu_backward(a);
         }},
    {.name = "cpu",
     .run =
         [](const Args& a) {
           if (a.wanted(SwigluBackward::dx)) HWY_DYNAMIC_DISPATCH(SwigluBackwardRows)(a);
         }},
};

}  // namespace birkhoff::cpu
#endif
