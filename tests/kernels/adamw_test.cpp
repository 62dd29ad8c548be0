#include "kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

constexpr double kEpsilon = 1.1920929e-7;

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

Tensor hyper(const AdamW::Desc& d, double lr, int t) {
  return {f32({4}), {lr, 1 / (1 - std::pow(d.beta1, t)), 1 / (1 - std::pow(d.beta2, t)), 0}};
}

Tensor scalar(double x) { return {f32({1}), {x}}; }

std::vector<Example> adamw_examples() {
  std::vector<Example> all;
  const AdamW::Desc desc{.eps = 1e-8, .weight_decay = 0.1};
  for (const Shape& shape : {Shape{1}, {3, 5, 7}, {kAdamWTask + 13}, {0}}) {
    Tensor v = random_tensor(f32(shape), "v");
    for (int64_t i = 0; i < v.spec.count(); ++i) v.set(i, v.at(i) * v.at(i));
    all.push_back(
        {.op = &kAdamW,
         .inputs = {random_tensor(f32(shape), "g"), hyper(desc, 0.01, 7), scalar(0.5)},
         .desc = desc,
         .label = to_string(shape),
         .update_bases = {random_tensor(f32(shape), "p"), random_tensor(f32(shape), "m"), v}});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(AdamW, adamw_examples)

// The update of one number as in the paper, in double.
struct Adam {
  double p = 0, m = 0, v = 0;
  void step(const AdamW::Desc& d, double g, double lr, int t) {
    p -= lr * d.weight_decay * p;
    m = d.beta1 * m + (1 - d.beta1) * g;
    v = d.beta2 * v + (1 - d.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(d.beta1, t)), v_hat = v / (1 - std::pow(d.beta2, t));
    p -= lr * m_hat / (std::sqrt(v_hat) + d.eps);
  }
};

TEST(AdamW, FiftyStepsAgainstDouble) {
  const int64_t count = 131;
  for (const auto& desc : {AdamW::Desc{.weight_decay = 0.1}, {.beta2 = 0.999, .eps = 1e-8}}) {
    std::vector<Tensor> state = {random_tensor(f32({count}), "p"),
                                 Tensor(f32({count}), std::byte{0}),
                                 Tensor(f32({count}), std::byte{0})};
    std::vector<Adam> want(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) want[size_t(i)].p = state[0].at(i);
    const double lr = double(0.01f), clip = 0.75;
    for (int t = 1; t <= 50; ++t) {
      const Tensor g = random_tensor(f32({count}), fmt::format("g{}", t), 1e-3, 1e-4);
      state = run(kAdamW, {g, hyper(desc, lr, t), scalar(clip)}, desc,
                  {.device = Device::cpu, .threads = 2}, 0, state);
      for (int64_t i = 0; i < count; ++i) want[size_t(i)].step(desc, clip * g.at(i), lr, t);
    }
    for (int64_t i = 0; i < count; ++i) {
      const Adam& w = want[size_t(i)];
      // Each step rounds p once (|p| < 4), and moves it by at most lr · 7.3 (the bound of
      // |m̂|/√v̂ at these betas), accurate to a dozen roundings.
      EXPECT_NEAR(state[0].at(i), w.p, 50 * kEpsilon * (0.5 * 4 + 12 * 0.01 * 7.3)) << i;
      // A moment has one rounding of the largest term per step, remembered for 1 / (1 − beta)
      // steps.
      EXPECT_NEAR(state[1].at(i), w.m, 10 * 4 * kEpsilon * 5e-3) << i;
      EXPECT_NEAR(state[2].at(i), w.v, 50 * 4 * kEpsilon * 25e-6 * (1 - desc.beta2)) << i;
    }
  }
}

// A constant gradient moves p by lr·g/(|g| + eps) in every step, whatever its size. v is denormal
// for |g| below about 1e-19, but keeps enough bits down to 1e-21. adamw.h bounds what that does to
// the denominator: √(h/2 · (3 − beta2)/(1 − beta2)) (three roundings, for a machine without FMA)
// = 1.7e-22 against eps = 1e-20.
TEST(AdamW, TinyGradientsAreNotFlushed) {
  const AdamW::Desc desc;
  const int64_t count = 19;
  const double lr = double(1e-3f);
  const double lost = std::sqrt(std::ldexp(1.0, -150) * (3 - desc.beta2) / (1 - desc.beta2));
  ASSERT_LT(lost / desc.eps, 0.02);
  for (const double size : {1e-17, 1e-18, 4.8e-19, 1e-19, 1e-20, 1e-21, 1e-22, 1e-23, 1e-24}) {
    const double g = double(float(size));
    std::vector<Tensor> state(3, Tensor(f32({count}), std::byte{0}));
    Adam want;
    for (int t = 1; t <= 50; ++t) {
      const double before = state[0].at(0), expected_before = want.p;
      state = run(kAdamW,
                  {Tensor(f32({count}), std::vector<double>(size_t(count), g)), hyper(desc, lr, t),
                   scalar(1)},
                  desc, {.device = Device::cpu}, 0, state);
      want.step(desc, g, lr, t);
      const double moved = state[0].at(0) - before, expected = want.p - expected_before;
      // The bound also allows a few roundings, and one of p itself.
      const double bound = std::abs(expected) * (lost / (g + desc.eps - lost) + 32 * kEpsilon) +
                           kEpsilon * std::abs(want.p);
      EXPECT_NEAR(moved, expected, bound) << "|g| " << size << " step " << t;
      for (int64_t i = 1; i < count; ++i) ASSERT_EQ(state[0].at(i), state[0].at(0));
    }
  }
}

TEST(AdamW, DecayIsDecoupled) {
  const AdamW::Desc desc{.weight_decay = 0.5};
  const Tensor zero(f32({1}), {0});
  const auto out = run(kAdamW, {zero, hyper(desc, 0.25, 1), scalar(1)}, desc,
                       {.device = Device::cpu}, 0, {scalar(8), zero, zero});
  EXPECT_EQ(out[AdamW::p].at(0), 7) << "8 − 0.25 · 0.5 · 8, and no 0 / 0";
  EXPECT_EQ(out[AdamW::m].at(0), 0) << "decay is not in the gradient";
}

TEST(AdamW, AScaleThatIsNotFiniteChangesNothing) {
  const AdamW::Desc desc{.weight_decay = 0.1};
  const std::vector<Tensor> state = {scalar(1), scalar(2), scalar(3)};
  for (const Device device : {Device::cpu, Device::reference})
    for (const double scale : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      const auto out = run(kAdamW, {scalar(std::nan("")), hyper(desc, 1, 1), scalar(scale)}, desc,
                           {.device = device}, 0, state);
      for (size_t k = 0; k < 3; ++k) expect_same_bits(out[k], state[k], "state");
    }
}

TEST(AdamW, Refuses) {
  std::vector<TensorSpec> specs = {f32({4}), f32({3}), f32({1})};
  EXPECT_THROW(kAdamW.outputs(specs, AdamW::Desc{}), InternalError);
  specs[1] = f32({4});
  EXPECT_THROW(kAdamW.outputs(specs, AdamW::Desc{.beta2 = 1}), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
