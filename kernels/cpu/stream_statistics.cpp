#include "kernels/stream_statistics.h"

#include <algorithm>
#include <cmath>

#include "kernels/bodies.h"
#include "kernels/cpu/result_of.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/stream_statistics.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// Mean cosine over the pairs of a token's n residual streams.
template <class T>
double alike(const T* x, int64_t n, int64_t width) {
  if (n == 1) return 1;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T* xi = x + i * width;
    const double norm = std::sqrt(double(dot(xi, xi, width)));
    for (int64_t j = i + 1; j < n; ++j) {
      const T* xj = x + j * width;
      const double other = std::sqrt(double(dot(xj, xj, width)));
      if (norm > 0 && other > 0) sum += double(dot(xi, xj, width)) / (norm * other);
    }
  }
  return sum / (double(n) * double(n - 1) / 2);
}

template <class T>
void blocks_of(const Args& a) {
  using S = StreamStatistics;
  const ResultOf<double> y(a, S::y);
  const int64_t tokens = a.dim(S::res, 0), square = a.dim(S::res, 1), wide = a.dim(S::x, 1);
  if (a.in<int32_t>(S::when)[0] == 0) {
    for (int64_t k = 0; k < square + 2; ++k) y.keep(k);
    return;
  }
  int64_t n = 1;
  while (n * n < square) ++n;
  const int32_t* position = a.in<int32_t>(S::position);
  double* partials = a.shared_workspace<double>();
  a.team().ranges(tokens, kStreamStatisticsTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    double* sum = partials + begin / kStreamStatisticsTokens * (square + 2);
    std::fill_n(sum, square + 2, 0.0);
    for (int64_t t = begin; t < end; ++t) {
      if (position[t] < 0) continue;  // padding
      for (int64_t k = 0; k < square; ++k) sum[k] += double(a.in<float>(S::res)[t * square + k]);
      sum[square] += alike(a.in<T>(S::x) + t * wide, n, wide / n);
      sum[square + 1] += 1;
    }
  });
  const int64_t blocks = (tokens + kStreamStatisticsTokens - 1) / kStreamStatisticsTokens;
  for (int64_t k = 0; k < square + 2; ++k) {
    double sum = 0;
    for (int64_t b = 0; b < blocks; ++b) sum += partials[b * (square + 2) + k];
    y.set(k, sum);
  }
}

}  // namespace

void StreamStatisticsBlocks(const Args& a) {
  with_storage(a.inputs[StreamStatistics::x].spec->dtype,
               [&](auto t) { blocks_of<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(StreamStatisticsBlocks);

constinit const Implementation stream_statistics[] = {
    {.name = "cpu",
     .workspace =
         [](Specs in, const Desc&) {
           using S = StreamStatistics;
           const int64_t blocks =
               (in[S::x].shape[0] + kStreamStatisticsTokens - 1) / kStreamStatisticsTokens;
           return Workspace{.shared = size_t(blocks * (in[S::res].shape[1] + 2)) * sizeof(double)};
         },
     .run =
         [](const Args& a) {
           HWY_DYNAMIC_DISPATCH(StreamStatisticsBlocks)
           (a);
         }}};

}  // namespace birkhoff::cpu
#endif
