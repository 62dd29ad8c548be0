// Compares H_res with plain Sinkhorn–Knopp in fp64: values, and gradients by dual numbers.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/mhc.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

constexpr double kEpsilon = 1.1920929e-7;

// a + b·ε, ε² = 0: carries one derivative through the plain formulas.
struct Dual {
  double value = 0, slope = 0;
  friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
  friend Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.value * b.slope + a.slope * b.value};
  }
  friend Dual operator/(Dual a, Dual b) {
    const double q = a.value / b.value;
    return {q, (a.slope - q * b.slope) / b.value};
  }
};
Dual exp(Dual a) { return {std::exp(a.value), std::exp(a.value) * a.slope}; }

using Matrix = std::vector<Dual>;  // [n, n] row-major

void divide_columns(Matrix& m, int n, double eps) {
  for (int j = 0; j < n; ++j) {
    Dual sum{eps, 0};
    for (int i = 0; i < n; ++i) sum = sum + m[size_t(i * n + j)];
    for (int i = 0; i < n; ++i) m[size_t(i * n + j)] = m[size_t(i * n + j)] / sum;
  }
}
void divide_rows(Matrix& m, int n, double eps) {
  for (int i = 0; i < n; ++i) {
    Dual sum{eps, 0};
    for (int j = 0; j < n; ++j) sum = sum + m[size_t(i * n + j)];
    for (int j = 0; j < n; ++j) m[size_t(i * n + j)] = m[size_t(i * n + j)] / sum;
  }
}

// exp(L), then columns and rows are divided 20 times. Nothing is subtracted and there is no log,
// since doubles hold e^±100 easily.
Matrix plain_paper(Matrix m, int n) {
  for (Dual& entry : m) entry = exp(entry);
  for (int pair = 0; pair < 20; ++pair) divide_columns(m, n, 0), divide_rows(m, n, 0);
  return m;
}

// DeepSeek-V4's form on comb, the transpose: softmax(last dim) + e, then columns are divided, then
// 19 times rows and columns.
Matrix plain_v4(const Matrix& logits, int n) {
  const double e = 1e-6;
  Matrix comb(logits.size());
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) comb[size_t(j * n + i)] = exp(logits[size_t(i * n + j)]);
  divide_rows(comb, n, 0);
  for (Dual& entry : comb) entry = entry + Dual{e, 0};
  divide_columns(comb, n, e);
  for (int pair = 1; pair < 20; ++pair) divide_rows(comb, n, e), divide_columns(comb, n, e);
  Matrix res(logits.size());
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) res[size_t(i * n + j)] = comb[size_t(j * n + i)];
  return res;
}

Matrix oracle(SinkhornForm form, const Matrix& logits, int n) {
  return form == SinkhornForm::paper ? plain_paper(logits, n) : plain_v4(logits, n);
}

// H_res of logits [tokens, n²] and dL for a given dres, computed through the operators such that
// H~ = L without rounding: x_t = 32·e_t with n·C = 1024 has rho = 1, so u = 32·phi_t. (n = 3 does
// not divide 1024, so there each token runs alone, with x = 0 and L = b.)
struct Through {
  Tensor res, dlogits;  // [tokens, n²]
};

Through run_alone(const MhcDesc& desc, const Tensor& logits, const Tensor& dres, Device device) {
  const int64_t n = desc.n, columns = desc.columns();
  Through out{logits, logits};
  for (int64_t t = 0; t < logits.spec.shape[0]; ++t) {
    Tensor b({{columns}, DType::f32}, std::byte{0}), d({{1, n * n}, DType::f32});
    for (int64_t e = 0; e < n * n; ++e)
      b.set(2 * n + e, logits.at(t * n * n + e)), d.set(e, dres.at(t * n * n + e));
    std::vector<Tensor> in = {Tensor({{1, n}, DType::f32}, std::byte{0}),
                              Tensor({{n, columns}, DType::f32}, std::byte{0}),
                              Tensor({{3}, DType::f32}, std::byte{0}), b};
    const auto open = run(kMhcOpen, in, desc, {.device = device});
    in.insert(in.end(), {open[MhcOpen::u], open[MhcOpen::rho], {}, {}, {}, d});
    const auto back = run(kMhcOpenBackward, in, desc, {.device = device});
    for (int64_t e = 0; e < n * n; ++e) {
      out.res.set(t * n * n + e, open[MhcOpen::res].at(e));
      out.dlogits.set(t * n * n + e, back[MhcOpenBackward::db].at(2 * n + e));
    }
  }
  return out;
}

Through run_together(const MhcDesc& desc, const Tensor& logits, const Tensor& dres, Device device) {
  const int64_t n = desc.n, columns = desc.columns(), tokens = logits.spec.shape[0], wide = 1024;
  Tensor x({{tokens, wide}, DType::f32}, std::byte{0});
  Tensor phi({{wide, columns}, DType::f32}, std::byte{0});
  for (int64_t t = 0; t < tokens; ++t) {
    x.set(t * wide + t, 32);
    for (int64_t e = 0; e < n * n; ++e)
      phi.set(t * columns + 2 * n + e, logits.at(t * n * n + e) / 32);
  }
  std::vector<Tensor> in = {x, phi, Tensor({{3}, DType::f32}, {1, 1, 1}),
                            Tensor({{columns}, DType::f32}, std::byte{0})};
  const auto open = run(kMhcOpen, in, desc, {.device = device});
  in.insert(in.end(), {open[MhcOpen::u], open[MhcOpen::rho], {}, {}, {}, dres});
  const auto back = run(kMhcOpenBackward, in, desc, {.device = device});
  Through out{open[MhcOpen::res], logits};
  for (int64_t t = 0; t < tokens; ++t)  // dphi_t = 32·dL of token t alone
    for (int64_t e = 0; e < n * n; ++e)
      out.dlogits.set(t * n * n + e, back[MhcOpenBackward::dphi].at(t * columns + 2 * n + e) / 32);
  return out;
}

// The oracle's results for the same logits.
Through expected(const MhcDesc& desc, const Tensor& logits, const Tensor& dres) {
  const int n = desc.n;
  Through want{logits.as(DType::f64), logits.as(DType::f64)};
  for (int64_t first = 0; first < logits.spec.count(); first += n * n)
    for (int of = 0; of < n * n; ++of) {
      Matrix m;
      for (int e = 0; e < n * n; ++e) m.push_back({logits.at(first + e), double(e == of)});
      m = oracle(desc.sinkhorn, m, n);
      double d = 0;
      for (int e = 0; e < n * n; ++e) d += dres.at(first + e) * m[size_t(e)].slope;
      want.res.set(first + of, m[size_t(of)].value);
      want.dlogits.set(first + of, d);
    }
  return want;
}

// Normal with standard deviation sd, or ±100 at random if sd is 0.
Tensor random_logits(int n, int64_t tokens, double sd) {
  Tensor logits = random_tensor({{tokens, n * n}, DType::f32}, "logits", sd > 0 ? sd : 1);
  if (sd == 0)
    for (int64_t e = 0; e < logits.spec.count(); ++e) logits.set(e, logits.at(e) < 0 ? -100 : 100);
  return logits;
}

// The paper's 5e-7, which is 4 epsilon: the last pair of divisions rounds a value n/2 + 2 times by
// half an ulp of at most 1, and errors of earlier pairs are contracted. The error does not grow
// with the logits, because the log-space pair keeps distances from a row's maximum exactly.
constexpr double kValues = 4 * kEpsilon;
// A gradient passes back through 40 such divisions, all but the last few of which also contract
// errors.
constexpr double kGradients = 8 * kEpsilon;

void check_against_plain(const MhcDesc& desc, double sd) {
  SCOPED_TRACE(fmt::format("{} n {} sd {}", name_of(desc.sinkhorn), desc.n, sd));
  // Many tokens at n = 2, where a token is cheap and a bare L − max in f32 is off by 6 epsilon.
  const Tensor logits = random_logits(desc.n, desc.n == 2 ? 1000 : desc.n == 8 ? 20 : 40, sd);
  const Tensor dres = random_tensor(logits.spec, "dres");
  const Through want = expected(desc, logits, dres);
  std::vector<Through> all = {run_alone(desc, logits, dres, Device::cpu),
                              run_alone(desc, logits, dres, Device::reference)};
  if (desc.n != 3) all.push_back(run_together(desc, logits, dres, Device::cpu));
  for (size_t way = 0; way < all.size(); ++way) {
    expect_close(all[way].res, want.res, kValues, fmt::format("values, way {}", way));
    expect_close(all[way].dlogits, want.dlogits, kGradients, fmt::format("gradient, way {}", way));
  }
}

TEST(MhcSinkhorn, MatchesThePlainFormUpToLogitsOfHundred) {
  for (const int n : {1, 2, 3, 4, 8})
    for (const double sd : {1.0, 6.0, 25.0, 0.0}) check_against_plain({.n = n}, sd);
}

TEST(MhcSinkhorn, MatchesDeepSeekV4sForm) {
  for (const int n : {1, 2, 3, 4, 8})
    for (const double sd : {1.0, 2.0, 6.0, 25.0, 0.0})
      check_against_plain({.n = n, .sinkhorn = SinkhornForm::v4}, sd);
}

TEST(MhcSinkhorn, TheFormsAgreeOnlyForSmallLogits) {
  for (const auto& [sd, least, most] : {std::tuple{0.5, 0.0, 6e-6}, {6.0, 1e-2, 1.0}}) {
    const Tensor logits = random_logits(4, 40, sd), dres = random_tensor(logits.spec, "dres");
    const Tensor paper = run_together({.n = 4}, logits, dres, Device::cpu).res;
    const Tensor v4 =
        run_together({.n = 4, .sinkhorn = SinkhornForm::v4}, logits, dres, Device::cpu).res;
    double apart = 0;
    for (int64_t e = 0; e < v4.spec.count(); ++e)
      apart = std::max(apart, std::abs(v4.at(e) - paper.at(e)));
    EXPECT_GE(apart, least) << sd;
    EXPECT_LE(apart, most) << sd;
  }
}

// L = log [[1, 2], [3, 4]], one pair: columns give [[1/4, 1/3], [3/4, 2/3]], then rows of sums 7/12
// and 17/12. Rows first, or the transpose, would give other numbers.
TEST(MhcSinkhorn, DividesByColumnsFirstAndRowsLast) {
  const Tensor logits({{1, 4}, DType::f32}, {0, std::log(2), std::log(3), std::log(4)});
  const Tensor want({{1, 4}, DType::f64}, {3. / 7, 4. / 7, 9. / 17, 8. / 17});
  for (const Device device : {Device::cpu, Device::reference})
    for (const SinkhornForm form : {SinkhornForm::paper, SinkhornForm::v4}) {
      const MhcDesc desc{.n = 2, .iterations = 1, .sinkhorn = form, .sinkhorn_eps = 0};
      expect_close(run_alone(desc, logits, logits, device).res, want, kValues,
                   fmt::format("{} device {}", name_of(form), int(device)));
    }
}

TEST(MhcSinkhorn, RowsAreExactAndColumnsApproximate) {
  for (const int n : {1, 2, 3, 4, 8})
    for (const double sd : {1.0, 6.0, 25.0, 0.0}) {
      const Tensor logits = random_logits(n, 40, sd), dres = random_tensor(logits.spec, "dres");
      const Tensor res = run_alone({.n = n}, logits, dres, Device::cpu).res;
      double off_rows = 0, off_columns = 0;
      for (int64_t t = 0; t < 40; ++t)
        for (int64_t line = 0; line < n; ++line) {
          double row = 0, column = 0;
          for (int64_t k = 0; k < n; ++k) {
            row += res.at((t * n + line) * n + k);
            column += res.at((t * n + k) * n + line);
          }
          off_rows = std::max(off_rows, std::abs(row - 1));
          off_columns = std::max(off_columns, std::abs(column - 1));
        }
      EXPECT_LE(off_rows, 4 * n * kEpsilon) << "n " << n << " sd " << sd;
      if (n >= 3 && sd >= 6) {
        EXPECT_GT(off_columns, 1e-3) << "n " << n << " sd " << sd;
      }
    }
}

TEST(MhcSinkhorn, StaysFiniteFarBeyondHundred) {
  for (const SinkhornForm form : {SinkhornForm::paper, SinkhornForm::v4})
    for (const Device device : {Device::cpu, Device::reference}) {
      Tensor logits = random_logits(4, 40, 0);
      for (int64_t e = 0; e < logits.spec.count(); ++e) logits.set(e, logits.at(e) * 1e3);
      const Tensor dres = random_tensor(logits.spec, "dres");
      const Through got = run_alone({.n = 4, .sinkhorn = form}, logits, dres, device);
      for (const Tensor& t : {got.res, got.dlogits})
        for (const double value : t.values()) ASSERT_TRUE(std::isfinite(value));
    }
}

}  // namespace
}  // namespace birkhoff::testing
