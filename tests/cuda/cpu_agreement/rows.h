#pragma once
// Error bounds of the backward of an opening, for any map from u to coefficients:
//
//   dx_j = Σ_i res_ij·dlink_i + pre_j·dh + Σ_k dz_jk·w_jk + pull_j·x_j     dw_jk = Σ_t dz_jk·x_j
//
// The map gives a token's coefficients in fp64, and bounds on a backend's errors in them.
#include "tests/cuda/cpu_agreement/agreement.h"

namespace birkhoff::testing {

struct Uncertain {
  double value = 0, error = 0;
};

// The coefficients of one token.
struct Coefficients {
  std::vector<Uncertain> pre, res, pull;  // [n], [n²] row-major (empty: no link), [n]
  std::vector<Uncertain> dz;              // [n, columns]
  std::vector<Uncertain> d, along;        // [K] gradient of H~, and its factor in dalpha
};

struct Rows {
  int64_t tokens, width;
  int n;
  const Tensor *x, *dh, *dlink;  // dlink: null if there is no link
  const Tensor* w;
  int64_t columns;     // of a stream's dz and weights
  bool shared_weight;  // w is [columns, width], shared by streams; else [n·width, columns]
  const Tensor* alpha;
  std::function<int64_t(int64_t)> group;  // which alpha scales column k of H~

  int64_t weight(int64_t j, int64_t c, int64_t k) const {
    return shared_weight ? k * width + c : (j * width + c) * columns + k;
  }
};

// Σ a·b over row i of a and row j of b, with the error bound of an f32 sum.
inline Uncertain dot_of(const Arithmetic& how, const Tensor& a, int64_t i, const Tensor& b,
                        int64_t j, int64_t width) {
  Uncertain dot;
  double terms = 0;
  for (int64_t c = 0; c < width; ++c) {
    const double term = a.at(i * width + c) * b.at(j * width + c);
    dot.value += term, terms += std::fabs(term);
  }
  dot.error = how.sum * terms;
  return dot;
}

// Relative error of σ: the logit is rounded to half an ulp, the exponential is accurate to
// 2 + 1.16·|x| ulp, and a sum and a division follow.
inline double gate_error(double logit) { return (5 + 2 * std::fabs(logit)) * kUnit; }
inline double sigmoid(double logit) { return 1 / (1 + std::exp(-logit)); }

// Error bounds of the results before they are stored, added up over the backends.
struct RowsApart {
  Tensor dx, dw, dalpha, db;

  RowsApart(const Rows& r, int64_t entries)
      : dx(zeros(r.x->spec)),
        dw(zeros(r.w->spec)),
        dalpha(zeros(r.alpha->spec)),
        db(zeros(f32s({entries}))) {}

  void add(const Rows& r, const Arithmetic& how, const Coefficients& of, int64_t t) {
    const double sums = kHalf * double(r.tokens + 40);  // over tokens, in any order
    for (size_t k = 0; k < of.d.size(); ++k) {
      const double d = std::fabs(of.d[k].value), error = of.d[k].error + sums * d;
      add_to(db, int64_t(k), error);
      add_to(dalpha, r.group(int64_t(k)),
             std::fabs(of.along[k].value) * error + (of.along[k].error + kUnit) * d);
    }
    for (int64_t j = 0; j < r.n; ++j)
      for (int64_t c = 0; c < r.width; ++c) add_channel(r, how, of, t, j, c);
  }

 private:
  void add_channel(const Rows& r, const Arithmetic& how, const Coefficients& of, int64_t t,
                   int64_t j, int64_t c) {
    double terms = 0, error = 0;
    const auto add_term = [&](const Uncertain& factor, double row, double more = 0) {
      terms += std::fabs(factor.value * row);
      error += (factor.error + more * std::fabs(factor.value)) * std::fabs(row);
    };
    const int64_t at = (t * r.n + j) * r.width + c;
    const double x = r.x->at(at), sums = kHalf * double(r.n * (r.tokens + 40));
    add_term(of.pull[size_t(j)], x);
    add_term(of.pre[size_t(j)], r.dh->at(t * r.width + c));
    for (int64_t i = 0; r.dlink && i < r.n; ++i)
      add_term(of.res[size_t(i * r.n + j)], r.dlink->at((t * r.n + i) * r.width + c));
    for (int64_t k = 0; k < r.columns; ++k) {
      const Uncertain& dz = of.dz[size_t(j * r.columns + k)];
      add_term(dz, r.w->at(r.weight(j, c, k)), how.pulled);
      add_to(dw, r.weight(j, c, k),
             std::fabs(x) * ((how.outer + sums) * std::fabs(dz.value) + dz.error));
    }
    // An ulp each, as a tensor core may truncate where others round.
    add_to(dx, at, error + kUnit * double(r.columns + r.n + 4) * terms);
  }
};

}  // namespace birkhoff::testing
