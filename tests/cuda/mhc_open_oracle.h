#pragma once
// mHC's open on the device against fp64: each part against the oracle's, of what the device made of
// the part before, with the bound that its arithmetic has.
#include "kernels/reference/sinkhorn.h"
#include "tests/cuda/mhc_case.h"

namespace birkhoff::reference {
void mhc_open(const Args& args);
}

namespace birkhoff::testing {

inline constexpr double kHalf = 0x1p-8;  // of bf16's last place, of a value
inline constexpr double kUlp = 0x1p-23;

// To the nearest of 10 bits, ties away from zero: what the device makes of phi.
inline double tf32(double x) {
  const int exponent = std::ilogb(x);
  return std::ldexp(std::round(std::ldexp(x, 10 - exponent)), exponent - 10);
}

struct Projection {
  Tensor u, rho;
};
// In fp64, by the oracle, of phi as tf32.
inline Projection expected(const MhcCase& c, const Tensor& rows, const Tensor& weight) {
  Tensor phi = weight.as(DType::f64);
  for (int64_t i = 0; i < phi.spec.count(); ++i) phi.set(i, tf32(phi.at(i)));
  const Tensor x = rows.as(DType::f64), alpha = c.alpha().as(DType::f64), b = c.b().as(DType::f64);
  const auto out = [&](int64_t row) { return Tensor({{c.tokens, row}, DType::f64}); };
  Tensor h = out(c.width), link = out(c.n * c.width), post = out(c.n), res = out(c.n * c.n);
  Projection p{out(c.columns()), out(1)};
  const Operand in[] = {{&x.spec, x.bytes.data()},
                        {&phi.spec, phi.bytes.data()},
                        {&alpha.spec, alpha.bytes.data()},
                        {&b.spec, b.bytes.data()}};
  const Result results[] = {{&h.spec, h.bytes.data()},       {&link.spec, link.bytes.data()},
                            {&post.spec, post.bytes.data()}, {&res.spec, res.bytes.data()},
                            {&p.u.spec, p.u.bytes.data()},   {&p.rho.spec, p.rho.bytes.data()}};
  const Desc desc = c.desc();
  Context context;
  reference::mhc_open({in, results, &desc, &context});
  return p;
}

// A lane sums a 32nd of the squares, then come 2 adds of lanes and 8 of warps; rsqrt has half of
// that error, 2 ulp of its own, and a division.
inline double relative_of_rms(int64_t values) { return (double(values) / 64 + 10) * kUlp; }

inline void expect_projection(const OpenRun& run, const Tensor& x, const Tensor& phi) {
  const MhcCase& c = run.c;
  const Projection want = expected(c, x, phi);
  const Tensor u = run.u_out(), rho = run.rho_out();
  const int64_t wide = c.n * c.width, columns = c.columns();
  for (int64_t t = 0; t < c.tokens; ++t) {
    ASSERT_LE(std::fabs(rho.at(t) - want.rho.at(t)), relative_of_rms(wide) * want.rho.at(t)) << t;
    for (int64_t k = 0; k < columns; ++k) {
      // A warp adds up its products one by one, 256 channels a step, then come the 8 warps. An ulp
      // each: a tensor core may cut off.
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

// What the device's own u makes of a token, in fp64.
struct Token {
  std::vector<double> logits;  // of all columns
  double largest = 0;          // of them
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
  // Of σ and of e^L: the logit is rounded to half an ulp of itself, fast_exp is right to
  // 2 + 1.16·|x| ulp; a sum and a division follow.
  double relative() const { return (5 + 2 * largest) * kUlp; }
};

inline void expect_coefficients(const OpenRun& run) {
  const MhcCase& c = run.c;
  const Tensor u = run.u_out(), post = run.post_out(), res = run.res_out();
  for (int64_t t = 0; t < c.tokens; ++t) {
    const Token want(c, u, t);
    for (int64_t i = 0; i < c.n; ++i) {
      const double at = want.post[size_t(i)];
      // Where the logit is far below 0, e^−L is beyond f32.
      ASSERT_LE(std::fabs(post.at(t * c.n + i) - at), want.relative() * at + 1e-37) << t;
      double row = 0;
      for (int64_t j = 0; j < c.n; ++j) row += res.at((t * c.n + i) * c.n + j);
      const double off = c.form == SinkhornForm::paper ? std::fabs(row - 1) : 0;
      ASSERT_LE(off, (c.n + 3) * kUlp) << t;
    }
    // M = R·e^L·C, and if the entries of e^L are off by r then R and C are by r + d a step of 2·20,
    // d what a division adds: a factor's sum of n terms, a division, a product. Differences of
    // logits are twice the largest one. Below e^−87 an entry is 0 in f32.
    const double step = 2 * want.relative() + (c.n + 4) * kUlp;
    for (int64_t e = 0; e < c.n * c.n; ++e) {
      const double at = want.res[size_t(e)];
      ASSERT_LE(std::fabs(res.at(t * c.n * c.n + e) - at), 4 * c.iterations * step * at + 1e-30)
          << "token " << t << " entry " << e;
    }
  }
}

inline void expect_rows(const OpenRun& run, const Tensor& x) {
  const MhcCase& c = run.c;
  const Tensor u = run.u_out(), h = run.h_out(), y = run.y_out(), rstd = run.rstd_out(),
               gain = c.gain();
  for (int64_t t = 0; t < c.tokens; ++t) {
    const Token token(c, u, t);
    double squares = 0;
    for (int64_t e = 0; e < c.width; ++e) {
      double sum = 0, terms = 0;
      for (int64_t i = 0; i < c.n; ++i) {
        const double term = token.pre[size_t(i)] * x.at((t * c.n + i) * c.width + e);
        sum += term, terms += std::fabs(term);
      }
      const double got = h.at(t * c.width + e);
      ASSERT_LE(std::fabs(got - sum),
                kHalf * std::fabs(sum) + (token.relative() + c.n * kUlp) * 2 * terms)
          << "token " << t << " channel " << e;
      squares += got * got;
    }
    // Of h as the device has rounded it.
    const double inverse = 1 / std::sqrt(squares / double(c.width) + 1e-20);
    const double relative = relative_of_rms(c.width);
    ASSERT_LE(std::fabs(rstd.at(t) - inverse), relative * inverse) << t;
    for (int64_t e = 0; e < c.width; ++e) {
      const double want = gain.at(e) * h.at(t * c.width + e) * inverse;
      ASSERT_LE(std::fabs(y.at(t * c.width + e) - want),
                (kHalf + relative + 2 * kUlp) * std::fabs(want))
          << "token " << t << " channel " << e;
    }
  }
}

inline void expect_open(const OpenRun& run, const Tensor& x, const Tensor& phi) {
  expect_projection(run, x, phi);
  expect_coefficients(run);
  expect_rows(run, x);
}

}  // namespace birkhoff::testing
