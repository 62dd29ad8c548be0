#include "kernels/stream_statistics.h"

#include <algorithm>

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

using S = StreamStatistics;

Outputs outputs(Specs in, const Desc&) {
  const TensorSpec &x = in[S::x], &res = in[S::res], &when = in[S::when];
  const bool rows = x.shape.size() == 2 && res.shape.size() == 2 && x.shape[0] == res.shape[0];
  int64_t n = 1;
  while (rows && n * n < res.shape[1]) ++n;
  require(rows && is_floating(x.dtype) && is_floating(res.dtype) && n * n == res.shape[1] &&
              x.shape[1] % n == 0 && when == TensorSpec{{1}, DType::i32} &&
              in[S::position] == TensorSpec{{x.shape[0]}, DType::i32},
          "stream_statistics", "x {}, res {}, when {}, position {}", x, res, when, in[S::position]);
  return {{.spec = {{res.shape[1] + 2}, DType::f64}}};
}

// Number of rows that are read: those that are not padding.
int64_t rows(const Args& a) {
  if (a.in<int32_t>(S::when)[0] == 0) return 0;
  const int32_t* position = a.in<int32_t>(S::position);
  return std::count_if(position, position + a.count(S::position), [](int32_t p) { return p >= 0; });
}

}  // namespace

constinit const Operator kStreamStatistics{
    .name = "stream_statistics",
    .outputs = outputs,
    .flops =
        [](Specs in, const Desc&) {
          int64_t n = 1;
          while (n * n < in[S::res].shape[1]) ++n;
          return double(n + 1) * double(in[S::x].count()) + double(in[S::res].count());
        },
    .implementations = {cpu::stream_statistics, {}, kReferenceBody<reference::stream_statistics>},
    // All rows are counted here, though padding rows of x and res are not read (see `rows`).
    .bytes =
        [](Specs in, const Desc&) {
          double bytes = 8.0 * double(in[S::res].shape[1] + 2);
          for (const TensorSpec& spec : in) bytes += double(spec.bytes());
          return bytes;
        },
    .rows = rows,
};

}  // namespace birkhoff
