// The small matrices that Sinkhorn–Knopp divides repeatedly. Each entry is a vector with one lane
// per token; in memory entry (i, j) is at (i·n + j)·kTokens. Included once per target, see
// simd-inl.h.
#if defined(BIRKHOFF_ITERATE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_ITERATE_INL
#undef BIRKHOFF_ITERATE_INL
#else
#define BIRKHOFF_ITERATE_INL
#endif

#include "kernels/cpu/projection.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

using V = hn::Vec<Tag>;

// The matrices of one vector of tokens, which each division step changes. They are in registers if
// n is known at compile time (kN), else in memory (kN = 0), where a step reads what the previous
// step wrote.
template <int kN>
class Iterate {
 public:
  HWY_INLINE Iterate(const float* from, int64_t) {
#pragma GCC unroll 16
    for (int64_t e = 0; e < kN * kN; ++e) v_[e] = hn::LoadU(Tag(), from + e * kTokens);
  }
  HWY_INLINE V get(int64_t i, int64_t j) const { return v_[i * kN + j]; }
  HWY_INLINE void set(V value, int64_t i, int64_t j) { v_[i * kN + j] = value; }
  HWY_INLINE void begin_step(float*) {}
  HWY_INLINE void end_step(float* to, bool keep) const {
    if (!keep) return;
#pragma GCC unroll 16
    for (int64_t e = 0; e < kN * kN; ++e) hn::StoreU(v_[e], Tag(), to + e * kTokens);
  }

 private:
  V v_[kN * kN];
};
template <>
class Iterate<0> {
 public:
  HWY_INLINE Iterate(float* from, int64_t n) : from_(from), to_(from), n_(n) {}
  HWY_INLINE V get(int64_t i, int64_t j) const { return hn::LoadU(Tag(), from_ + at(i, j)); }
  HWY_INLINE void set(V value, int64_t i, int64_t j) { hn::StoreU(value, Tag(), to_ + at(i, j)); }
  HWY_INLINE void begin_step(float* to) { to_ = to; }
  HWY_INLINE void end_step(float* to, bool) { from_ = to; }

 private:
  HWY_INLINE int64_t at(int64_t i, int64_t j) const { return (i * n_ + j) * kTokens; }
  float *from_, *to_;
  int64_t n_;
};

// Accesses element k of column or row `line`.
template <bool kByColumns, class M>
HWY_INLINE V get_line(const M& m, int64_t line, int64_t k) {
  return kByColumns ? m.get(k, line) : m.get(line, k);
}
template <bool kByColumns, class M>
HWY_INLINE void set_line(V value, M& m, int64_t line, int64_t k) {
  kByColumns ? m.set(value, k, line) : m.set(value, line, k);
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
