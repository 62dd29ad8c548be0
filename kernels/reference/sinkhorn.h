#pragma once
// M = H_res from the logits L, both [n, n] row-major, and its backward, in plain loops in double
// that keep every iterate. kernels/mhc.h defines the two forms.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/mhc.h"

namespace birkhoff::reference {

class Sinkhorn {
 public:
  explicit Sinkhorn(const MhcDesc& desc)
      : n_(desc.n), paper_(desc.sinkhorn == SinkhornForm::paper), desc_(desc) {}

  std::vector<double> forward(std::vector<double> m) {
    iterates_.clear();
    log_normalise(m, true);
    columns_ = exponential(m);
    const double eps = paper_ ? 0 : desc_.sinkhorn_eps;
    if (paper_) {
      log_normalise(m, false);
      m = rows_ = exponential(m);
    } else {
      m = columns_;
      for (double& entry : m) entry += eps;
      divide(m, false, eps);
    }
    for (int pair = 1; pair < desc_.iterations; ++pair) divide(m, true, eps), divide(m, false, eps);
    return m;
  }

  // dM → dL. REQUIRES that forward() was called just before.
  std::vector<double> backward(std::vector<double> d) const {
    for (auto it = iterates_.rbegin(); it != iterates_.rend(); ++it)
      for (int line = 0; line < n_; ++line) {  // y = x/S: dx = (dy − Σ dy·y)/S
        double pull = 0;
        for (int k = 0; k < n_; ++k)
          pull += d[at(it->columns, line, k)] * it->y[at(it->columns, line, k)];
        for (int k = 0; k < n_; ++k) {
          double& entry = d[at(it->columns, line, k)];
          entry = (entry - pull) / it->sums[size_t(line)];
        }
      }
    if (paper_) softmax_backward(d, false, rows_);
    if (paper_) return log_softmax_backward(d);
    softmax_backward(d, true, columns_);
    return d;
  }

 private:
  struct Iterate {
    bool columns;
    std::vector<double> y, sums;
  };

  size_t at(bool columns, int line, int k) const {
    return size_t(columns ? k * n_ + line : line * n_ + k);
  }
  static std::vector<double> exponential(std::vector<double> m) {
    for (double& entry : m) entry = std::exp(entry);
    return m;
  }
  void log_normalise(std::vector<double>& m, bool columns) const {
    for (int line = 0; line < n_; ++line) {
      double top = m[at(columns, line, 0)], sum = 0;
      for (int k = 0; k < n_; ++k) top = std::max(top, m[at(columns, line, k)]);
      for (int k = 0; k < n_; ++k) sum += std::exp(m[at(columns, line, k)] - top);
      for (int k = 0; k < n_; ++k) m[at(columns, line, k)] -= top + std::log(sum);
    }
  }
  void divide(std::vector<double>& m, bool columns, double eps) {
    std::vector<double> sums(size_t(n_), eps);
    for (int line = 0; line < n_; ++line) {
      for (int k = 0; k < n_; ++k) sums[size_t(line)] += m[at(columns, line, k)];
      for (int k = 0; k < n_; ++k) m[at(columns, line, k)] /= sums[size_t(line)];
    }
    iterates_.push_back({columns, m, sums});
  }
  // y = softmax(x) over each line: dx = y·(dy − Σ dy·y)
  void softmax_backward(std::vector<double>& d, bool columns, const std::vector<double>& y) const {
    for (int line = 0; line < n_; ++line) {
      double pull = 0;
      for (int k = 0; k < n_; ++k) pull += d[at(columns, line, k)] * y[at(columns, line, k)];
      for (int k = 0; k < n_; ++k) {
        const size_t e = at(columns, line, k);
        d[e] = y[e] * (d[e] - pull);
      }
    }
  }
  // c = L − logsumexp over each column: dL = dc − exp(c)·Σ dc
  std::vector<double> log_softmax_backward(std::vector<double> d) const {
    for (int j = 0; j < n_; ++j) {
      double sum = 0;
      for (int i = 0; i < n_; ++i) sum += d[at(true, j, i)];
      for (int i = 0; i < n_; ++i) d[at(true, j, i)] -= columns_[at(true, j, i)] * sum;
    }
    return d;
  }

  int n_;
  bool paper_;
  MhcDesc desc_;
  // Softmax over the columns; then softmax over the rows of its log.
  std::vector<double> columns_, rows_;
  std::vector<Iterate> iterates_;
};

}  // namespace birkhoff::reference
