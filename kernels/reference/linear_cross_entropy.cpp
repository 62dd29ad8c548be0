#include "kernels/linear_cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

std::vector<double> logits_of(const Input& h, const Input& w, int64_t row, int64_t vocabulary,
                              int64_t width) {
  std::vector<double> l(static_cast<size_t>(vocabulary));
  for (int64_t v = 0; v < vocabulary; ++v)
    for (int64_t c = 0; c < width; ++c) l[size_t(v)] += h[row * width + c] * w[v * width + c];
  return l;
}

}  // namespace

void linear_cross_entropy(const Args& a) {
  using L = LinearCrossEntropy;
  const Input h(a, L::h), w(a, L::w, L::h), target(a, L::target);
  const Output nll(a, L::nll);
  const int64_t tokens = a.dim(L::h, 0), width = a.dim(L::h, 1), vocabulary = a.dim(L::w, 0);
  for (int64_t t = 0; t < tokens; ++t) {
    const auto l = logits_of(h, w, t, vocabulary, width);
    const double most = *std::max_element(l.begin(), l.end());
    double sum = 0;
    for (const double x : l) sum += std::exp(x - most);
    nll.set(t, target[t] < 0 ? 0 : most + std::log(sum) - l[size_t(target[t])]);
  }
}

void linear_cross_entropy_loss(const Args& a) {
  using L = LinearCrossEntropyLoss;
  const Input h(a, L::h), w(a, L::w, L::h), target(a, L::target), scale(a, L::scale);
  const Output nll(a, L::nll), dh(a, L::dh), dw(a, L::dw);
  const int64_t tokens = a.dim(L::h, 0), width = a.dim(L::h, 1), vocabulary = a.dim(L::w, 0);
  std::vector<double> sum(size_t(vocabulary * width));
  for (int64_t t = 0; t < tokens; ++t) {
    const bool counted = target[t] >= 0;
    auto p = logits_of(h, w, t, vocabulary, width);
    const double most = *std::max_element(p.begin(), p.end());
    const double own = counted ? p[size_t(target[t])] : 0;
    double total = 0;
    for (double& x : p) total += x = std::exp(x - most);
    nll.set(t, counted ? most + std::log(total) - own : 0);
    std::vector<double> row(static_cast<size_t>(width));
    for (int64_t v = 0; counted && scale[0] != 0 && v < vocabulary; ++v) {
      const double dl = scale[0] * (p[size_t(v)] / total - double(v == int64_t(target[t])));
      for (int64_t c = 0; c < width; ++c) {
        row[size_t(c)] += dl * w[v * width + c];
        sum[size_t(v * width + c)] += dl * h[t * width + c];
      }
    }
    for (int64_t c = 0; c < width; ++c) dh.set(t * width + c, row[size_t(c)]);
  }
  for (int64_t i = 0; i < vocabulary * width; ++i) dw.set(i, sum[size_t(i)]);
}

}  // namespace birkhoff::reference
