#include "kernels/streams.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

void copies(const Args& a, double divisor) {
  const Input x(a, CopyStreams::x);
  const Output y(a, CopyStreams::y);
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(CopyStreams::x, 1);
  for (int64_t t = 0; t < a.dim(CopyStreams::x, 0); ++t)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < width; ++c)
        y.set((t * n + i) * width + c, x[t * width + c] / divisor);
}

void sums(const Args& a, double divisor) {
  const Input x(a, SumStreams::x);
  const Output y(a, SumStreams::y);
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(SumStreams::x, 1) / n;
  for (int64_t t = 0; t < a.dim(SumStreams::x, 0); ++t)
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += x[(t * n + i) * width + c];
      y.set(t * width + c, sum / divisor);
    }
}

}  // namespace

void copy_streams(const Args& a) { copies(a, 1); }
void sum_streams(const Args& a) { sums(a, 1); }
void spread_streams(const Args& a) { copies(a, a.desc<StreamsDesc>().n); }
void mean_streams(const Args& a) { sums(a, a.desc<StreamsDesc>().n); }

}  // namespace birkhoff::reference
