// Sinkhorn–Knopp of small matrices, one token a lane: entry (i, j) of the matrices of kTokens
// tokens is the vector at m + (i·n + j)·kTokens. kernels/mhc.h says what is computed; included
// like simd-inl.h.
#if defined(BIRKHOFF_SINKHORN_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_SINKHORN_INL
#undef BIRKHOFF_SINKHORN_INL
#else
#define BIRKHOFF_SINKHORN_INL
#endif

#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/projection.h"
#include "kernels/cpu/simd-inl.h"
#include "kernels/mhc.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

using V = hn::Vec<Tag>;

// e^x for every x. Highway's is right to 1 ulp on [−104, 88] but makes garbage of +inf and 0 of
// NaN, and a NaN must stay one: a step with one is skipped.
HWY_INLINE V exp_of(V x) {
  const Tag d;
  const V clamped = hn::Min(x, hn::Set(d, 104.0f));
  return hn::IfThenElse(hn::Eq(x, x), hn::Exp(d, clamped), x);
}
HWY_INLINE V sigmoid(V x) {
  const V one = hn::Set(Tag(), 1.0f);
  return hn::Div(one, hn::Add(one, exp_of(hn::Neg(x))));
}

// kN: n where it is known when compiling, so that loops over it unroll; 0 otherwise.
template <int kN>
class Sinkhorn {
 public:
  // trace: sinkhorn_trace(n, iterations, keep) floats.
  Sinkhorn(const MhcDesc& desc, float* trace, bool keep)
      : n_(kN ? kN : desc.n),
        paper_(desc.sinkhorn == SinkhornForm::paper),
        keep_(keep),
        steps_(2 * (desc.iterations - 1) + (paper_ ? 0 : 1)),
        eps_(paper_ ? 0 : float(desc.sinkhorn_eps)),
        p_(trace),
        high_(p_ + n_ * n_ * kTokens),
        low_(high_ + n_ * n_ * kTokens),
        slots_(low_ + n_ * n_ * kTokens) {}

  // One vector of tokens; logits and the result at their first lane.
  HWY_INLINE const float* forward(const float* logits) {
    column_softmax(logits);
    paper_ ? row_softmax() : add_eps();
    for (int64_t s = 1; s <= steps_; ++s) by_columns(s) ? divide<true>(s) : divide<false>(s);
    return slot(steps_);
  }

  // d: dM in, dL out. REQUIRES keep, and forward() of the same tokens just before.
  HWY_INLINE void backward(float* d) const {
    for (int64_t s = steps_; s > 0; --s)
      by_columns(s) ? divide_backward<true>(s, d) : divide_backward<false>(s, d);
    if (!paper_) return softmax_backward<true>(p_, d);
    softmax_backward<false>(slot(0), d);
    const Tag tag;  // log-softmax over each column: dL = dc − p·Σ dc
    for (int64_t j = 0; j < n_; ++j) {
      V sum = hn::Zero(tag);
      for (int64_t i = 0; i < n_; ++i) sum = hn::Add(sum, load(d, i, j));
      for (int64_t i = 0; i < n_; ++i)
        store(hn::NegMulAdd(load(p_, i, j), sum, load(d, i, j)), d, i, j);
    }
  }

 private:
  float* slot(int64_t s) const { return slots_ + (keep_ ? s : s % 2) * (n_ * n_ + n_) * kTokens; }
  bool by_columns(int64_t s) const { return (s % 2 == 1) == paper_; }
  HWY_INLINE V load(const float* m, int64_t i, int64_t j) const {
    return hn::LoadU(Tag(), m + (i * n_ + j) * kTokens);
  }
  HWY_INLINE void store(V value, float* m, int64_t i, int64_t j) const {
    hn::StoreU(value, Tag(), m + (i * n_ + j) * kTokens);
  }
  // Element k of column or row `line`.
  template <bool kByColumns>
  HWY_INLINE V load_line(const float* m, int64_t line, int64_t k) const {
    return kByColumns ? load(m, k, line) : load(m, line, k);
  }
  template <bool kByColumns>
  HWY_INLINE void store_line(V value, float* m, int64_t line, int64_t k) const {
    kByColumns ? store(value, m, k, line) : store(value, m, line, k);
  }

  // p = softmax of L over each column. Its log is kept as high + low, exact but for log Σ: after
  // the rows' maximum is taken off, what an entry loses is a rounding of its distance from that
  // maximum, and not one of logits of 100.
  HWY_INLINE void column_softmax(const float* logits) {
    const Tag d;
    for (int64_t j = 0; j < n_; ++j) {
      V top = load(logits, 0, j), sum = hn::Zero(d);
      for (int64_t i = 1; i < n_; ++i) top = hn::Max(top, load(logits, i, j));
      for (int64_t i = 0; i < n_; ++i) {
        const V logit = load(logits, i, j), high = hn::Sub(logit, top);
        const V back = hn::Sub(high, logit);  // ≈ −top; low: what rounding took (Knuth's two-sum)
        const V low = hn::Sub(hn::Sub(logit, hn::Sub(high, back)), hn::Add(top, back));
        const V e = exp_of(high);
        sum = hn::Add(sum, e);
        store(high, high_, i, j), store(low, low_, i, j), store(e, p_, i, j);
      }
      const V inverse = hn::Div(hn::Set(d, 1.0f), sum), log = hn::Log(d, sum);
      for (int64_t i = 0; i < n_; ++i) {
        store(hn::Mul(load(p_, i, j), inverse), p_, i, j);
        store(hn::Sub(load(low_, i, j), log), low_, i, j);
      }
    }
  }
  HWY_INLINE void row_softmax() {
    const Tag d;
    float* m = slot(0);
    for (int64_t i = 0; i < n_; ++i) {
      V high = load(high_, i, 0), low = load(low_, i, 0);
      for (int64_t j = 1; j < n_; ++j) {
        const V h = load(high_, i, j), l = load(low_, i, j);
        const auto larger = hn::Gt(hn::Add(h, l), hn::Add(high, low));
        high = hn::IfThenElse(larger, h, high), low = hn::IfThenElse(larger, l, low);
      }
      V sum = hn::Zero(d);
      for (int64_t j = 0; j < n_; ++j) {
        const V e =
            exp_of(hn::Add(hn::Sub(load(high_, i, j), high), hn::Sub(load(low_, i, j), low)));
        sum = hn::Add(sum, e);
        store(e, m, i, j);
      }
      const V inverse = hn::Div(hn::Set(d, 1.0f), sum);
      for (int64_t j = 0; j < n_; ++j) store(hn::Mul(load(m, i, j), inverse), m, i, j);
    }
  }
  HWY_INLINE void add_eps() {
    for (int64_t e = 0; e < n_ * n_; ++e)
      store(hn::Add(load(p_, 0, e), hn::Set(Tag(), eps_)), slot(0), 0, e);
  }

  template <bool kByColumns>
  HWY_INLINE void divide(int64_t s) {
    const Tag d;
    const float* from = slot(s - 1);
    float *to = slot(s), *inverses = to + n_ * n_ * kTokens;
    for (int64_t line = 0; line < n_; ++line) {
      V sum = hn::Set(d, eps_);
      for (int64_t k = 0; k < n_; ++k) sum = hn::Add(sum, load_line<kByColumns>(from, line, k));
      const V inverse = hn::Div(hn::Set(d, 1.0f), sum);
      hn::StoreU(inverse, d, inverses + line * kTokens);
      for (int64_t k = 0; k < n_; ++k)
        store_line<kByColumns>(hn::Mul(load_line<kByColumns>(from, line, k), inverse), to, line, k);
    }
  }
  // y = x/(Σx + e):  dx = (dy − Σ dy·y)/(Σx + e)
  template <bool kByColumns>
  HWY_INLINE void divide_backward(int64_t s, float* d) const {
    const Tag tag;
    const float *y = slot(s), *inverses = y + n_ * n_ * kTokens;
    for (int64_t line = 0; line < n_; ++line) {
      V pull = hn::Zero(tag);
      for (int64_t k = 0; k < n_; ++k)
        pull =
            hn::MulAdd(load_line<kByColumns>(d, line, k), load_line<kByColumns>(y, line, k), pull);
      const V inverse = hn::LoadU(tag, inverses + line * kTokens);
      for (int64_t k = 0; k < n_; ++k)
        store_line<kByColumns>(hn::Mul(hn::Sub(load_line<kByColumns>(d, line, k), pull), inverse),
                               d, line, k);
    }
  }
  // y = softmax(x):  dx = y·(dy − Σ dy·y)
  template <bool kByColumns>
  HWY_INLINE void softmax_backward(const float* y, float* d) const {
    for (int64_t line = 0; line < n_; ++line) {
      V pull = hn::Zero(Tag());
      for (int64_t k = 0; k < n_; ++k)
        pull =
            hn::MulAdd(load_line<kByColumns>(d, line, k), load_line<kByColumns>(y, line, k), pull);
      for (int64_t k = 0; k < n_; ++k)
        store_line<kByColumns>(hn::Mul(load_line<kByColumns>(y, line, k),
                                       hn::Sub(load_line<kByColumns>(d, line, k), pull)),
                               d, line, k);
    }
  }

  const int64_t n_;
  const bool paper_, keep_;
  const int64_t steps_;  // divisions after the first pair (paper) or the softmax (v4)
  const float eps_;
  float* const p_;     // softmax over the columns
  float* const high_;  // and its log
  float* const low_;
  float* const slots_;  // iterates, each with the inverse sums of the division that made it
};

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
