// Copies parts of rows. Included once per target, see simd-inl.h.
#if defined(BIRKHOFF_COPY_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_COPY_INL
#undef BIRKHOFF_COPY_INL
#else
#define BIRKHOFF_COPY_INL
#endif

#include <algorithm>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// The destination of rows of floats or bf16: an output and its base.
template <class T>
struct To {
  T* out;
  const T* base;

  To(const Args& a, int k) : out(a.out<T>(k)), base(a.base<T>(k)) {}

  // out[at + i] = base[at + i] + from[i], rounded once; a null `from` counts as zeros.
  HWY_INLINE void copy(const T* from, int64_t at, int64_t count) const {
    if (!out) return;
    if (!base) {
      from ? std::copy_n(from, count, out + at) : std::fill_n(out + at, count, T{});
      return;
    }
    each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
      set(d, from ? load(d, from + i) : hn::Zero(d), base, out, at + i);
    });
  }
};

}  // namespace
}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
