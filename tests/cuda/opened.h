#pragma once
// Checks shared by tests of kernels that open streams: tf32 weights, norms, and h and y from H_pre.
#include "tests/cuda/support/bounded.h"

namespace birkhoff::testing {

constexpr double kUlp = 0x1p-23;

// Rounds to 10 fraction bits, ties away from zero, as the device does with weights.
inline double tf32(double x) {
  const int exponent = std::ilogb(x);
  return std::ldexp(std::round(std::ldexp(x, 10 - exponent)), exponent - 10);
}
inline Tensor as_tf32(const Tensor& weight) {
  Tensor t = weight.as(DType::f64);
  for (int64_t i = 0; i < t.spec.count(); ++i) t.set(i, tf32(t.at(i)));
  return t;
}

// Relative error of rms: a lane sums a 32nd of the squares, then 2 adds over lanes and 8 over warps
// follow; rsqrt halves that error and adds 2 ulp of its own and a division.
inline double relative_of_rms(int64_t values) { return (double(values) / 64 + 10) * kUlp; }

struct Pre {  // H_pre of a token
  std::vector<double> value, error;
};

// Checks h = Σ pre_i·x_i of each token, and y = gain ⊙ h·rstd for h as the device rounded it.
template <class Run, class PreOf>
void expect_opened(const Run& run, const Tensor& x, const PreOf& pre_of) {
  const auto& c = run.c;
  const Tensor h = run.h.tensor(), y = run.y.tensor(), rstd = run.rstd.tensor(), gain = c.gain();
  for (int64_t t = 0; t < c.tokens; ++t) {
    const Pre pre = pre_of(t);
    double squares = 0;
    for (int64_t e = 0; e < c.width; ++e) {
      double sum = 0, terms = 0;
      for (int64_t i = 0; i < c.n; ++i) {
        const double value = x.at((t * c.n + i) * c.width + e);
        sum += pre.value[size_t(i)] * value;
        terms += (pre.error[size_t(i)] + c.n * kUlp * std::fabs(pre.value[size_t(i)])) *
                 std::fabs(value);
      }
      const double got = h.at(t * c.width + e);
      ASSERT_LE(std::fabs(got - sum), kStored * std::fabs(sum) + 2 * terms)
          << "token " << t << " channel " << e;
      squares += got * got;
    }
    const double inverse = 1 / std::sqrt(squares / double(c.width) + 1e-20);
    const double relative = relative_of_rms(c.width);
    ASSERT_LE(std::fabs(rstd.at(t) - inverse), relative * inverse) << t;
    for (int64_t e = 0; e < c.width; ++e) {
      const double want = gain.at(e) * h.at(t * c.width + e) * inverse;
      ASSERT_LE(std::fabs(y.at(t * c.width + e) - want),
                (kStored + relative + 2 * kUlp) * std::fabs(want))
          << "token " << t << " channel " << e;
    }
  }
}

}  // namespace birkhoff::testing
