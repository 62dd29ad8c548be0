// Sinkhorn–Knopp for small matrices, one token per lane: entry (i, j) of the matrices of kTokens
// tokens is at m + (i·n + j)·kTokens. kernels/mhc.h defines what is computed. Included once per
// target, see simd-inl.h.
#if defined(BIRKHOFF_SINKHORN_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_SINKHORN_INL
#undef BIRKHOFF_SINKHORN_INL
#else
#define BIRKHOFF_SINKHORN_INL
#endif

#include "kernels/cpu/exp-inl.h"
#include "kernels/cpu/iterate-inl.h"
#include "kernels/cpu/projection.h"
#include "kernels/mhc.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// kN is n if it is known at compile time, so that loops over it unroll, else 0. With kKeep, forward
// keeps what backward() needs.
template <int kN, bool kKeep>
class Sinkhorn {
 public:
  // `trace` points to sinkhorn_trace(n, iterations, kKeep) floats.
  Sinkhorn(const MhcDesc& desc, float* trace)
      : n_(desc.n),
        paper_(desc.sinkhorn == SinkhornForm::paper),
        steps_(2 * (desc.iterations - 1) + (paper_ ? 0 : 1)),
        eps_(paper_ ? 0 : float(desc.sinkhorn_eps)),
        p_(trace),
        high_(p_ + n_ * n_ * kTokens),
        low_(high_ + n_ * n_ * kTokens),
        slots_(low_ + n_ * n_ * kTokens) {}

  // Computes one vector of tokens; `logits` and the result point at its first lane.
  HWY_INLINE const float* forward(const float* logits) {
    column_softmax(logits);
    paper_ ? row_softmax() : add_eps();
    Matrix m(slot(0), n_);
    for (int64_t s = 1; s <= steps_; ++s) {
      m.begin_step(slot(s));
      by_columns(s) ? divide<true>(m, s) : divide<false>(m, s);
      m.end_step(slot(s), kKeep || s == steps_);
    }
    return slot(steps_);
  }

  // d is dM on entry and dL on return. REQUIRES kKeep, and that forward() was called for the same
  // tokens just before.
  HWY_INLINE void backward(float* d) const {
    Matrix m(d, n_);
    for (int64_t s = steps_; s > 0; --s)
      by_columns(s) ? divide_backward<true>(s, m) : divide_backward<false>(s, m);
    m.end_step(d, true);
    Line in_memory(d, n_);
    if (!paper_) return softmax_backward<true>(p_, in_memory);
    softmax_backward<false>(slot(0), in_memory);
    const Tag tag;  // log-softmax over each column: dL = dc − p·Σ dc
    for (int64_t j = 0; j < n(); ++j) {
      V sum = hn::Zero(tag);
      for (int64_t i = 0; i < n(); ++i) sum = hn::Add(sum, load(d, i, j));
      for (int64_t i = 0; i < n(); ++i)
        store(hn::NegMulAdd(load(p_, i, j), sum, load(d, i, j)), d, i, j);
    }
  }

 private:
  using Matrix = Iterate<kN>;
  using Line = Iterate<0>;
  int64_t n() const { return kN ? kN : n_; }
  float* slot(int64_t s) const { return slots_ + (kKeep ? s : s % 2) * (n_ * n_ + n_) * kTokens; }
  bool by_columns(int64_t s) const { return (s % 2 == 1) == paper_; }
  HWY_INLINE V load(const float* m, int64_t i, int64_t j) const {
    return hn::LoadU(Tag(), m + (i * n() + j) * kTokens);
  }
  HWY_INLINE void store(V value, float* m, int64_t i, int64_t j) const {
    hn::StoreU(value, Tag(), m + (i * n() + j) * kTokens);
  }

  // p = softmax of L over each column. Its log is kept as high + low, which is exact except for
  // log Σ. So after the row maximum is subtracted, an entry's rounding error is that of a number as
  // large as its distance from the maximum, even if the logits are around 100.
  HWY_INLINE void column_softmax(const float* logits) {
    const Tag d;
    for (int64_t j = 0; j < n(); ++j) {
      V top = load(logits, 0, j), sum = hn::Zero(d);
      for (int64_t i = 1; i < n(); ++i) top = hn::Max(top, load(logits, i, j));
      for (int64_t i = 0; i < n(); ++i) {
        const V logit = load(logits, i, j), high = hn::Sub(logit, top);
        const V back = hn::Sub(high, logit);  // ≈ −top; low is the rounding error (Knuth's two-sum)
        const V low = hn::Sub(hn::Sub(logit, hn::Sub(high, back)), hn::Add(top, back));
        const V e = exp_of(high);
        sum = hn::Add(sum, e);
        store(high, high_, i, j), store(low, low_, i, j), store(e, p_, i, j);
      }
      const V inverse = hn::Div(hn::Set(d, 1.0f), sum), log = hn::Log(d, sum);
      for (int64_t i = 0; i < n(); ++i) {
        store(hn::Mul(load(p_, i, j), inverse), p_, i, j);
        store(hn::Sub(load(low_, i, j), log), low_, i, j);
      }
    }
  }
  HWY_INLINE void row_softmax() {
    const Tag d;
    float* m = slot(0);
    for (int64_t i = 0; i < n(); ++i) {
      V high = load(high_, i, 0), low = load(low_, i, 0);
      for (int64_t j = 1; j < n(); ++j) {
        const V h = load(high_, i, j), l = load(low_, i, j);
        const auto larger = hn::Gt(hn::Add(h, l), hn::Add(high, low));
        high = hn::IfThenElse(larger, h, high), low = hn::IfThenElse(larger, l, low);
      }
      V sum = hn::Zero(d);
      for (int64_t j = 0; j < n(); ++j) {
        const V e =
            exp_of(hn::Add(hn::Sub(load(high_, i, j), high), hn::Sub(load(low_, i, j), low)));
        sum = hn::Add(sum, e);
        store(e, m, i, j);
      }
      const V inverse = hn::Div(hn::Set(d, 1.0f), sum);
      for (int64_t j = 0; j < n(); ++j) store(hn::Mul(load(m, i, j), inverse), m, i, j);
    }
  }
  HWY_INLINE void add_eps() {
    for (int64_t e = 0; e < n() * n(); ++e)
      store(hn::Add(load(p_, 0, e), hn::Set(Tag(), eps_)), slot(0), 0, e);
  }

  template <bool kByColumns>
  HWY_INLINE void divide(Matrix& m, int64_t s) const {
    const Tag d;
    const int64_t n = kN ? kN : n_;
    float* inverses = slot(s) + n_ * n_ * kTokens;
#pragma GCC unroll 4
    for (int64_t line = 0; line < n; ++line) {
      V sum = hn::Set(d, eps_);
#pragma GCC unroll 4
      for (int64_t k = 0; k < n; ++k) sum = hn::Add(sum, get_line<kByColumns>(m, line, k));
      const V inverse = hn::Div(hn::Set(d, 1.0f), sum);
      if (kKeep) hn::StoreU(inverse, d, inverses + line * kTokens);
#pragma GCC unroll 4
      for (int64_t k = 0; k < n; ++k)
        set_line<kByColumns>(hn::Mul(get_line<kByColumns>(m, line, k), inverse), m, line, k);
    }
  }
  // y = x/(Σx + e):  dx = (dy − Σ dy·y)/(Σx + e)
  template <bool kByColumns>
  HWY_INLINE void divide_backward(int64_t s, Matrix& d) const {
    const Tag tag;
    const int64_t n = kN ? kN : n_;
    const Line y(slot(s), n_);
    const float* inverses = slot(s) + n_ * n_ * kTokens;
#pragma GCC unroll 4
    for (int64_t line = 0; line < n; ++line) {
      V pull = hn::Zero(tag);
#pragma GCC unroll 4
      for (int64_t k = 0; k < n; ++k)
        pull = hn::MulAdd(get_line<kByColumns>(d, line, k), get_line<kByColumns>(y, line, k), pull);
      const V inverse = hn::LoadU(tag, inverses + line * kTokens);
#pragma GCC unroll 4
      for (int64_t k = 0; k < n; ++k)
        set_line<kByColumns>(hn::Mul(hn::Sub(get_line<kByColumns>(d, line, k), pull), inverse), d,
                             line, k);
    }
  }
  // y = softmax(x):  dx = y·(dy − Σ dy·y)
  template <bool kByColumns>
  HWY_INLINE void softmax_backward(float* of, Line& d) const {
    const Line y(of, n_);
    for (int64_t line = 0; line < n(); ++line) {
      V pull = hn::Zero(Tag());
      for (int64_t k = 0; k < n(); ++k)
        pull = hn::MulAdd(get_line<kByColumns>(d, line, k), get_line<kByColumns>(y, line, k), pull);
      for (int64_t k = 0; k < n(); ++k)
        set_line<kByColumns>(hn::Mul(get_line<kByColumns>(y, line, k),
                                     hn::Sub(get_line<kByColumns>(d, line, k), pull)),
                             d, line, k);
    }
  }

  const int64_t n_;
  const bool paper_;
  const int64_t steps_;  // Divisions after the first pair (paper) or the softmax (v4).
  const float eps_;
  float* const p_;     // Softmax over the columns.
  float* const high_;  // high_ + low_ is its log.
  float* const low_;
  float* const slots_;  // Iterates, each with the inverse sums of the division that produced it.
};

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
