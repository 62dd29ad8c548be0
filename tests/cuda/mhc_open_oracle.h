#pragma once
// Compares mHC's open on the device with fp64: each part against the oracle, given the device's
// result of the previous part, within the error bound of its arithmetic.
#include "kernels/reference/sinkhorn.h"
#include "tests/cuda/mhc_case.h"
#include "tests/cuda/opened.h"

namespace birkhoff::testing {

struct Projection {
  Tensor u, rho;
};
// The oracle's result in fp64, for phi as tf32.
inline Projection expected(const MhcCase& c, const Tensor& rows, const Tensor& weight) {
  const Tensors out = reference_open(c, {rows, as_tf32(weight), c.alpha(), c.b()});
  return {out[MhcOpen::u], out[MhcOpen::rho]};
}

inline void expect_projection(const OpenRun& run, const Tensor& x, const Tensor& phi) {
  const MhcCase& c = run.c;
  const Projection want = expected(c, x, phi);
  const Tensor u = run.u.tensor(), rho = run.rho.tensor();
  const int64_t wide = c.n * c.width, columns = c.columns();
  for (int64_t t = 0; t < c.tokens; ++t) {
    ASSERT_LE(std::fabs(rho.at(t) - want.rho.at(t)), relative_of_rms(wide) * want.rho.at(t)) << t;
    for (int64_t k = 0; k < columns; ++k) {
      // A warp adds up its products one by one, 256 channels per step; then the 8 warps are added.
      // Each add costs an ulp, as a tensor core may truncate.
      double terms = 0;
      for (int64_t e = 0; e < wide; ++e)
        terms += std::fabs(x.at(t * wide + e) * phi.at(e * columns + k));
      const double adds = double(c.n * ((c.width + 255) / 256) * 32 + 8);
      const double at = want.u.at(t * columns + k);
      const double bound =
          adds * kUlp * terms * want.rho.at(t) + (relative_of_rms(wide) + kUlp) * std::fabs(at);
      ASSERT_LE(std::fabs(u.at(t * columns + k) - at), bound) << "token " << t << " column " << k;
    }
  }
}

// A token's coefficients in fp64, computed from the device's own u.
struct Token {
  std::vector<double> logits;  // one per column
  double largest = 0;          // the largest absolute logit
  std::vector<double> pre, post, res;

  Token(const MhcCase& c, const Tensor& u, int64_t t) {
    const Tensor alpha = c.alpha(), b = c.b();
    const MhcDesc desc = c.desc();
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    for (int64_t k = 0; k < c.columns(); ++k) {
      logits.push_back(alpha.at(desc.group(k)) * u.at(t * c.columns() + k) + b.at(k));
      largest = std::max(largest, std::fabs(logits.back()));
      if (k < c.n) pre.push_back(sigmoid(logits.back()) + desc.pre_eps());
      if (desc.group(k) == 1) post.push_back(2 * sigmoid(logits.back()));
    }
    res = reference::Sinkhorn(desc).forward({logits.begin() + 2 * c.n, logits.end()});
  }
  // Relative error of σ and e^L: the logit is rounded to half an ulp, fast_exp is accurate to
  // 2 + 1.16·|x| ulp, and a sum and a division follow.
  double relative() const { return (5 + 2 * largest) * kUlp; }
};

inline void expect_coefficients(const OpenRun& run) {
  const MhcCase& c = run.c;
  const Tensor u = run.u.tensor(), post = run.post.tensor(), res = run.res.tensor();
  for (int64_t t = 0; t < c.tokens; ++t) {
    const Token want(c, u, t);
    for (int64_t i = 0; i < c.n; ++i) {
      const double at = want.post[size_t(i)];
      // If the logit is far below 0, e^−L overflows f32.
      ASSERT_LE(std::fabs(post.at(t * c.n + i) - at), want.relative() * at + 1e-37) << t;
      double row = 0;
      for (int64_t j = 0; j < c.n; ++j) row += res.at((t * c.n + i) * c.n + j);
      const double off = c.form == SinkhornForm::paper ? std::fabs(row - 1) : 0;
      ASSERT_LE(off, (c.n + 3) * kUlp) << t;
    }
    // M = R·e^L·C. If the entries of e^L are off by r, then R and C are off by r + d for each of
    // 2·20 steps, where d is a division's own error: a sum of n terms, a division and a product.
    // Differences of logits are at most twice the largest logit. Below e^−87 an entry is 0 in f32.
    const double step = 2 * want.relative() + (c.n + 4) * kUlp;
    for (int64_t e = 0; e < c.n * c.n; ++e) {
      const double at = want.res[size_t(e)];
      ASSERT_LE(std::fabs(res.at(t * c.n * c.n + e) - at), 4 * c.iterations * step * at + 1e-30)
          << "token " << t << " entry " << e;
    }
  }
}

inline void expect_rows(const OpenRun& run, const Tensor& x) {
  const Tensor u = run.u.tensor();
  expect_opened(run, x, [&](int64_t t) {
    const Token token(run.c, u, t);
    Pre pre{token.pre, {}};
    for (const double value : pre.value) pre.error.push_back(token.relative() * value);
    return pre;
  });
}

inline void expect_open(const OpenRun& run, const Tensor& x, const Tensor& phi) {
  expect_projection(run, x, phi);
  expect_coefficients(run);
  expect_rows(run, x);
}

}  // namespace birkhoff::testing
