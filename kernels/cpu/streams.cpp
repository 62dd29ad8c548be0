#include "kernels/streams.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/streams.cpp"
#include "kernels/cpu/targets.h"
// after it:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

constexpr int64_t kTokens = 16;  // a task

// `factor`: 1 (exact) for copy and sum, 1 / n for spread and mean.
void copies(const Args& a, float factor) {
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(CopyStreams::x, 1);
  const float *x = a.in<float>(CopyStreams::x), *base = a.base<float>(CopyStreams::y);
  float* y = a.out<float>(CopyStreams::y);
  if (!y) return;
  a.team().ranges(a.dim(CopyStreams::x, 0), kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t row = begin * n; row < end * n; ++row)
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        const auto value = hn::Mul(hn::LoadU(d, x + row / n * width + c), hn::Set(d, factor));
        set(d, value, base ? base + row * width : nullptr, y + row * width, c);
      });
  });
}

void sums(const Args& a, float factor) {
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(SumStreams::x, 1) / n;
  const float *x = a.in<float>(SumStreams::x), *base = a.base<float>(SumStreams::y);
  float* y = a.out<float>(SumStreams::y);
  if (!y) return;
  a.team().ranges(a.dim(SumStreams::x, 0), kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t)
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        auto sum = hn::LoadU(d, x + t * n * width + c);
        for (int64_t i = 1; i < n; ++i)
          sum = hn::Add(sum, hn::LoadU(d, x + (t * n + i) * width + c));
        sum = hn::Mul(sum, hn::Set(d, factor));
        set(d, sum, base ? base + t * width : nullptr, y + t * width, c);
      });
  });
}

void CopyStreamsRows(const Args& a) { copies(a, 1); }
void SumStreamsRows(const Args& a) { sums(a, 1); }
void SpreadStreamsRows(const Args& a) { copies(a, 1 / float(a.desc<StreamsDesc>().n)); }
void MeanStreamsRows(const Args& a) { sums(a, 1 / float(a.desc<StreamsDesc>().n)); }

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
