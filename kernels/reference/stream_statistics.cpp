#include "kernels/stream_statistics.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

double cosine(const Input& x, int64_t a, int64_t b, int64_t width) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t c = 0; c < width; ++c) {
    ab += x[a + c] * x[b + c];
    aa += x[a + c] * x[a + c];
    bb += x[b + c] * x[b + c];
  }
  return aa > 0 && bb > 0 ? ab / (std::sqrt(aa) * std::sqrt(bb)) : 0;
}

}  // namespace

void stream_statistics(const Args& a) {
  using S = StreamStatistics;
  const Input x(a, S::x), res(a, S::res), when(a, S::when), position(a, S::position);
  const Output y(a, S::y);
  const int64_t tokens = a.dim(S::res, 0), square = a.dim(S::res, 1);
  const int64_t n = std::llround(std::sqrt(double(square))), width = a.dim(S::x, 1) / n;
  std::vector<int64_t> read;  // The rows that are not padding.
  for (int64_t t = 0; t < tokens && when[0] != 0; ++t)
    if (position[t] >= 0) read.push_back(t);
  for (int64_t k = 0; k < square; ++k) {
    double sum = 0;
    for (const int64_t t : read) sum += res[t * square + k];
    y.set(k, sum);
  }
  double alike = 0;
  for (const int64_t t : read) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = i + 1; j < n; ++j)
        sum += cosine(x, (t * n + i) * width, (t * n + j) * width, width);
    alike += n == 1 ? 1 : sum / (double(n) * double(n - 1) / 2);
  }
  y.set(square, alike);
  y.set(square + 1, double(read.size()));
}

}  // namespace birkhoff::reference
