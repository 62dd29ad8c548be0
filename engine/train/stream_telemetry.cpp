#include "engine/train/stream_telemetry.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace birkhoff {
namespace {

struct Square {
  size_t n;
  std::vector<double> values;  // row-major
  double operator()(size_t i, size_t j) const { return values[i * n + j]; }
};

Square times(const Square& a, const Square& b) {
  Square c{a.n, std::vector<double>(a.n * a.n)};
  for (size_t i = 0; i < a.n; ++i)
    for (size_t j = 0; j < a.n; ++j)
      for (size_t k = 0; k < a.n; ++k) c.values[i * a.n + j] += a(i, k) * b(k, j);
  return c;
}

// max over the sums of rows, or columns, of |sum − less|; NaN if one is.
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

StreamTelemetry stream_telemetry(const std::vector<std::span<const double>>& sums) {
  StreamTelemetry t;
  std::vector<Square> means;
  for (const auto sum : sums) {
    const size_t square = sum.size() - 2;
    const size_t n = size_t(std::llround(std::sqrt(double(square))));
    const double tokens = sum[square + 1];
    check(n * n == square && tokens > 0, "stream statistics of {} values over {} tokens",
          sum.size(), tokens);
    Square mean{n, {sum.begin(), sum.begin() + ptrdiff_t(square)}};
    for (double& value : mean.values) value /= tokens;
    t.gain_forward.push_back(extreme(mean, true, 0));
    t.gain_backward.push_back(extreme(mean, false, 0));
    t.column_error.push_back(extreme(mean, false, 1));
    t.cosine.push_back(sum[square] / tokens);
    means.push_back(std::move(mean));
  }
  t.composite_forward.resize(sums.size()), t.composite_backward.resize(sums.size());
  for (size_t l = sums.size(); l-- > 0;) {
    if (l + 1 < sums.size()) means[l] = times(means[l + 1], means[l]);
    t.composite_forward[l] = extreme(means[l], true, 0);
    t.composite_backward[l] = extreme(means[l], false, 0);
  }
  return t;
}

}  // namespace birkhoff
