#include "kernels/streams.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/streams.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

constexpr int64_t kTokens = 16;  // Tokens per task.

// `factor` is 1 (exact) for copy and sum, 1 / n for spread and mean.
template <class T>
void copies(const Args& a, float factor) {
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(CopyStreams::x, 1);
  const T *x = a.in<T>(CopyStreams::x), *base = a.base<T>(CopyStreams::y);
  T* y = a.out<T>(CopyStreams::y);
  if (!y) return;
  a.team().ranges(a.dim(CopyStreams::x, 0), kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t row = begin * n; row < end * n; ++row)
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        const auto value = hn::Mul(load(d, x + row / n * width + c), hn::Set(d, factor));
        set(d, value, base ? base + row * width : nullptr, y + row * width, c);
      });
  });
}

template <class T>
void sums(const Args& a, float factor) {
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(SumStreams::x, 1) / n;
  const T *x = a.in<T>(SumStreams::x), *base = a.base<T>(SumStreams::y);
  T* y = a.out<T>(SumStreams::y);
  if (!y) return;
  a.team().ranges(a.dim(SumStreams::x, 0), kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t)
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        auto sum = load(d, x + t * n * width + c);
        for (int64_t i = 1; i < n; ++i) sum = hn::Add(sum, load(d, x + (t * n + i) * width + c));
        sum = hn::Mul(sum, hn::Set(d, factor));
        set(d, sum, base ? base + t * width : nullptr, y + t * width, c);
      });
  });
}

void copies_in_storage(const Args& a, float factor) {
  with_storage(a.inputs[CopyStreams::x].spec->dtype,
               [&](auto t) { copies<decltype(t)>(a, factor); });
}
void sums_in_storage(const Args& a, float factor) {
  with_storage(a.inputs[SumStreams::x].spec->dtype, [&](auto t) { sums<decltype(t)>(a, factor); });
}

}  // namespace

void CopyStreamsRows(const Args& a) { copies_in_storage(a, 1); }
void SumStreamsRows(const Args& a) { sums_in_storage(a, 1); }
void SpreadStreamsRows(const Args& a) { copies_in_storage(a, 1 / float(a.desc<StreamsDesc>().n)); }
void MeanStreamsRows(const Args& a) { sums_in_storage(a, 1 / float(a.desc<StreamsDesc>().n)); }

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(CopyStreamsRows);
HWY_EXPORT(SumStreamsRows);
HWY_EXPORT(SpreadStreamsRows);
HWY_EXPORT(MeanStreamsRows);

void copy_streams(const Args& args) { HWY_DYNAMIC_DISPATCH(CopyStreamsRows)(args); }
void sum_streams(const Args& args) { HWY_DYNAMIC_DISPATCH(SumStreamsRows)(args); }
void spread_streams(const Args& args) { HWY_DYNAMIC_DISPATCH(SpreadStreamsRows)(args); }
void mean_streams(const Args& args) { HWY_DYNAMIC_DISPATCH(MeanStreamsRows)(args); }

}  // namespace birkhoff::cpu
#endif
