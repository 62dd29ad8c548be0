#include "engine/train/stream_telemetry.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace birkhoff {
namespace {

constexpr size_t kMostStreams = 16;

struct Square {
  size_t n = 0;
  std::array<double, kMostStreams * kMostStreams> values;  // row-major
  double operator()(size_t i, size_t j) const { return values[i * n + j]; }
};

Square times(const Square& a, const Square& b) {
  Square c{a.n, {}};
  for (size_t i = 0; i < a.n; ++i)
    for (size_t j = 0; j < a.n; ++j)
      for (size_t k = 0; k < a.n; ++k) c.values[i * a.n + j] += a(i, k) * b(k, j);
  return c;
}

// max |sum − less| over the sums of rows, or of columns; NaN if one is.
double extreme(const Square& m, bool rows, double less) {
  double most = 0;
  for (size_t i = 0; i < m.n; ++i) {
    double sum = 0;
    for (size_t j = 0; j < m.n; ++j) sum += rows ? m(i, j) : m(j, i);
    const double size = std::abs(sum - less);
    if (std::isnan(size)) return size;
    most = std::max(most, size);
  }
  return most;
}

}  // namespace

void stream_telemetry(std::span<const std::span<const double>> sums, StreamTelemetry& t) {
  t.resize(sums.size());
  Square path;  // P_l
  for (size_t l = sums.size(); l-- > 0;) {
    const auto sum = sums[l];
    const size_t square = sum.size() - 2;
    const size_t n = size_t(std::llround(std::sqrt(double(square))));
    const double tokens = sum[square + 1];
    check(n * n == square && n <= kMostStreams && tokens > 0,
          "stream statistics of {} values over {} tokens", sum.size(), tokens);
    Square mean{n, {}};
    for (size_t i = 0; i < square; ++i) mean.values[i] = sum[i] / tokens;
    t.gain_forward[l] = extreme(mean, true, 0);
    t.gain_backward[l] = extreme(mean, false, 0);
    t.column_error[l] = extreme(mean, false, 1);
    t.cosine[l] = sum[square] / tokens;
    path = l + 1 < sums.size() ? times(path, mean) : mean;
    t.composite_forward[l] = extreme(path, true, 0);
    t.composite_backward[l] = extreme(path, false, 0);
  }
}

}  // namespace birkhoff
