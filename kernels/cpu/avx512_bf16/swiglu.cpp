#include "kernels/swiglu.h"

#include "kernels/bodies.h"
#include "kernels/cpu/row.h"
#include "kernels/cpu/swiglu.h"
// must come last:
#include "kernels/cpu/avx512_bf16/streams-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

// 1/x to 2^-23 for x in [1, 2] or NaN: an estimate accurate to 2^-14 and one Newton step.
BIRKHOFF_INLINE V reciprocal(V x) {
  const V y = _mm512_rcp14_ps(x);
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, y, set(1)), y, y);
}

// σ(x) from e = 2^(−|x|·log2 e), which neither overflows nor cancels. Rounding the product gives e,
// and σ of a negative x, a relative error of |x|·2^-24. That is 2^-17 where σ reaches 0 in f32, and
// the result is rounded to bf16 (2^-9) with its factors anyway.
BIRKHOFF_INLINE V sigmoid(V x) {
  const V e = exp2_of(_mm512_mul_ps(_mm512_abs_ps(x), set(-kLog2E)));
  const V above = reciprocal(_mm512_add_ps(set(1), e));
  const __mmask16 negative = _mm512_cmp_ps_mask(x, zero(), _CMP_LT_OQ);
  return _mm512_mask_mul_ps(above, negative, above, e);
}

BIRKHOFF_INLINE V gated(V gate, V up) {
  return _mm512_mul_ps(_mm512_mul_ps(gate, sigmoid(gate)), up);
}

struct Slopes {
  V gate, up;
};
BIRKHOFF_INLINE Slopes slopes(V gate, V up, V dy) {
  const V s = sigmoid(gate), ds = _mm512_mul_ps(dy, s);
  const V rest = _mm512_fmadd_ps(gate, _mm512_sub_ps(set(1), s), set(1));
  return {_mm512_mul_ps(_mm512_mul_ps(ds, up), rest), _mm512_mul_ps(ds, gate)};
}

}  // namespace

void swiglu(const Args& a) {
  const int64_t width = a.dim(Swiglu::x, 1) / 2;
  const bf16 *x = a.in<bf16>(Swiglu::x), *base = a.base<bf16>(Swiglu::y);
  bf16* y = a.out<bf16>(Swiglu::y);
  const int64_t rows = swiglu_rows(a, Swiglu::x, Swiglu::offsets);
  a.team().ranges(rows, kSwigluRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const bf16 *gate = x + r * 2 * width, *up = gate + width;
      each_panel<Whole>(
          width, [&](auto how, int64_t c) __attribute__((always_inline)) {
            const Halves g = load(how, gate + c), u = load(how, up + c);
            set(how, {gated(g.even, u.even), gated(g.odd, u.odd)}, row(base, r * width + c),
                y + r * width + c);
          });
    }
  });
}

void swiglu_backward(const Args& a) {
  using B = SwigluBackward;
  const int64_t width = a.dim(B::x, 1) / 2;
  const bf16 *dy = a.in<bf16>(B::dy), *x = a.in<bf16>(B::x), *base = a.base<bf16>(B::dx);
  bf16* dx = a.out<bf16>(B::dx);
  const int64_t rows = swiglu_rows(a, B::x, B::offsets);
  a.team().ranges(rows, kSwigluRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      each_panel<Whole>(
          width, [&](auto how, int64_t c) __attribute__((always_inline)) {
            const int64_t gate = r * 2 * width + c, up = gate + width;
            const Halves g = load(how, x + gate), u = load(how, x + up);
            const Halves d = load(how, dy + r * width + c);
            const Slopes even = slopes(g.even, u.even, d.even), odd = slopes(g.odd, u.odd, d.odd);
            set(how, {even.gate, odd.gate}, row(base, gate), dx + gate);
            set(how, {even.up, odd.up}, row(base, up), dx + up);
          });
  });
}

}  // namespace birkhoff::cpu::avx512_bf16
