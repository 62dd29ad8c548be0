#include "kernels/streams.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/streams.cpp"
#include "kernels/cpu/targets.h"
// after it:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

constexpr int64_t kTokens = 16;  // a task

template <class T>
void copy_rows(const Args& a) {
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(CopyStreams::x, 1);
  const T *x = a.in<T>(CopyStreams::x), *base = a.base<T>(CopyStreams::y);
  T* y = a.out<T>(CopyStreams::y);
  if (!y) return;
  a.team().ranges(a.dim(CopyStreams::x, 0), kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t row = begin * n; row < end * n; ++row)
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        set(d, load(d, x + row / n * width + c), base ? base + row * width : nullptr,
            y + row * width, c);
      });
  });
}

template <class T>
void sum_rows(const Args& a) {
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(SumStreams::x, 1) / n;
  const T *x = a.in<T>(SumStreams::x), *base = a.base<T>(SumStreams::y);
  T* y = a.out<T>(SumStreams::y);
  if (!y) return;
  a.team().ranges(a.dim(SumStreams::x, 0), kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t)
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        auto sum = load(d, x + t * n * width + c);
        for (int64_t i = 1; i < n; ++i) sum = hn::Add(sum, load(d, x + (t * n + i) * width + c));
        set(d, sum, base ? base + t * width : nullptr, y + t * width, c);
      });
  });
}

}  // namespace

void CopyStreamsRows(const Args& a) {
  with_storage(a.inputs[CopyStreams::x].spec->dtype, [&](auto t) { copy_rows<decltype(t)>(a); });
}
void SumStreamsRows(const Args& a) {
  with_storage(a.inputs[SumStreams::x].spec->dtype, [&](auto t) { sum_rows<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(CopyStreamsRows);
HWY_EXPORT(SumStreamsRows);

void copy_streams(const Args& args) { HWY_DYNAMIC_DISPATCH(CopyStreamsRows)(args); }
void sum_streams(const Args& args) { HWY_DYNAMIC_DISPATCH(SumStreamsRows)(args); }

}  // namespace birkhoff::cpu
#endif
