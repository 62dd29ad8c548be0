#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/weighted_sum.h"
#include "tests/kernels/instruction_sets.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Device kBoth[] = {Device::cpu, Device::reference};

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

// Values from the smallest denormal to the largest float.
Tensor wide_tensor(Shape shape) {
  Tensor t = random_tensor(f32(std::move(shape)), "wide");
  for (int64_t i = 0; i < t.spec.count(); ++i)
    t.set(i, std::ldexp(t.at(i) / 8, int(i * 37 % 277) - 149));
  return t;
}

// Some blocks whose exponents cover 44 values, more than two sets of sums hold. The largest
// mantissas are among them.
Tensor stepped_tensor() {
  Tensor t(f32({20011}));
  for (int64_t i = 0; i < t.spec.count(); ++i)
    t.set(i, std::ldexp(double(std::nextafter(2.0f, float(i % 3))), -int(i * 7 % 44)));
  return t;
}

std::vector<Example> norm_examples() {
  std::vector<Example> all;
  for (const Tensor& g :
       {random_tensor(f32({1}), "g"), random_tensor(f32({3, 5, 7}), "g", 1e-4),
        random_tensor(f32({kSquaredSumTask + 17}), "g"), wide_tensor({997}), stepped_tensor(),
        Tensor(f32({0})), Tensor(f32({5}), {1, kInfinity, -kInfinity, std::nan(""), -2})}) {
    all.push_back({.op = &kSquaredSum, .inputs = {g}, .label = to_string(g.spec)});
    const auto acc = run(kSquaredSum, {g}, {});
    if (acc[0].at(kFloatLimbs) != 0) continue;  // NaN: see below
    for (const double max_norm : {0.0, 1e-3, 1e30})
      all.push_back(
          {.op = &kClipScale, .inputs = acc, .desc = ClipScale::Desc{.max_norm = max_norm}});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Norm, norm_examples)

struct Clip {
  double scale, norm;
};
Clip clip(const std::vector<double>& g, double max_norm, Device device = Device::cpu) {
  const auto acc = run(kSquaredSum, {Tensor(f32({int64_t(g.size())}), g)}, {}, {.device = device});
  const auto out = run(kClipScale, acc, ClipScale::Desc{.max_norm = max_norm}, {.device = device});
  return {out[ClipScale::scale].at(0), out[ClipScale::norm].at(0)};
}

TEST(Norm, ClipsToTheLargestNorm) {
  for (const Device device : kBoth) {
    EXPECT_EQ(clip({3, 4}, 1, device).norm, 5);
    EXPECT_EQ(clip({3, 4}, 1, device).scale, double(0.2f));
    EXPECT_EQ(clip({3, 4}, 5, device).scale, 1);
    EXPECT_EQ(clip({3, 4}, 6, device).scale, 1);
    EXPECT_EQ(clip({3, 4}, 0, device).scale, 1) << "0: no clipping";
    EXPECT_EQ(clip({0, 0}, 1, device).scale, 1);
    EXPECT_EQ(clip({0, 0}, 1, device).norm, 0);
    EXPECT_EQ(clip({}, 1, device).norm, 0);
    EXPECT_EQ(clip({3e-43}, 1, device).norm, double(3e-43f)) << "f32 would underflow";
    EXPECT_EQ(clip({-3e38}, 0, device).norm, double(3e38f)) << "f32 would overflow";
  }
}

TEST(Norm, WhatIsNotFiniteGivesNan) {
  for (const Device device : kBoth)
    for (const double bad : {kInfinity, -kInfinity, std::nan("")})
      for (const double max_norm : {0.0, 1.0}) {
        EXPECT_TRUE(std::isnan(clip({1, bad, 2}, max_norm, device).scale));
        EXPECT_FALSE(std::isfinite(clip({1, bad, 2}, max_norm, device).norm));
      }
}

// Compares with exact doubles: 2^24 + tiny squares, which any floating-point sum would lose.
TEST(Norm, KnowsEveryBit) {
  EXPECT_EQ(clip({4096, std::ldexp(1.0, -18), std::ldexp(1.0, -14)}, 0).norm,
            std::sqrt(16777216 + std::ldexp(1.0, -28) + std::ldexp(1.0, -36)));
  Tensor g = wide_tensor({kSquaredSumTask + 501});
  const auto forward = run(kSquaredSum, {g}, {}, {.device = Device::cpu});
  auto values = g.values();
  std::reverse(values.begin(), values.end());
  const auto backward = run(kSquaredSum, {Tensor(g.spec, values)}, {}, {.device = Device::cpu});
  expect_same_bits(backward[0], forward[0], "order");
  // The same values in two tensors, the second added to the first, give the same norm.
  std::vector<double> sum(size_t{kNormLimbs});
  for (const auto& [begin, end] : {std::pair<size_t, size_t>{0, 1000}, {1000, values.size()}}) {
    const std::vector<double> part(values.begin() + long(begin), values.begin() + long(end));
    const auto acc =
        run(kSquaredSum, {Tensor(f32({int64_t(part.size())}), part)}, {}, {.device = Device::cpu});
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += acc[0].at(int64_t(k));
  }
  const ClipScale::Desc none{.max_norm = 0};
  const Tensor split({{kNormLimbs}, DType::i64}, sum);
  expect_same_bits(run(kClipScale, {split}, none, {.device = Device::cpu})[ClipScale::norm],
                   run(kClipScale, forward, none, {.device = Device::cpu})[ClipScale::norm],
                   "in two tensors");
}

// The sums of the cpu body hold a task of the largest mantissas, at the exponent where they are
// widest.
TEST(Norm, SumsHoldATaskOfTheLargestMantissas) {
  const double x = double(std::nextafter(2.0f, 0.0f));
  std::vector<double> g(size_t(2 * kSquaredSumTask), x);
  const auto check = [&] { EXPECT_EQ(clip(g, 0).norm, std::sqrt(x * x * double(g.size()))); };
  check();
  on_other_instruction_sets(check);
}

// No bit is lost if nearly all of a block is 15 to 40 exponents below its largest element.
TEST(Norm, SumsHoldATaskOfMantissasFarBelowTheLargest) {
  const double x = double(std::nextafter(2.0f, 0.0f));
  for (int below = 15; below <= 40; ++below) {
    std::vector<double> g(size_t(kSquaredSumTask), std::ldexp(x, -below));
    for (size_t i = 0; i < g.size(); i += 1024) g[i] = x;
    const Tensor in(f32({int64_t(g.size())}), g);
    const auto want = run(kSquaredSum, {in}, {}, {.device = Device::reference});
    const auto check = [&] {
      expect_same_bits(run(kSquaredSum, {in}, {}, {.device = Device::cpu})[0], want[0],
                       fmt::format("{} exponents below", below));
    };
    check();
    on_other_instruction_sets(check);
  }
}

TEST(Norm, EveryInstructionSetGivesTheSameBits) {
  const Tensor inputs[] = {stepped_tensor(), wide_tensor({9973}), random_tensor(f32({301}), "g")};
  for (const Tensor& g : inputs) {
    const auto want = run(kSquaredSum, {g}, {}, {.device = Device::cpu});
    on_other_instruction_sets([&] {
      expect_same_bits(run(kSquaredSum, {g}, {}, {.device = Device::cpu})[0], want[0], "limbs");
    });
  }
}

std::vector<Example> weighted_sum_examples() {
  std::vector<Example> all;
  const Tensor scale(f32({1}), {0.125});
  for (const int64_t tokens : {0, 1, 7, 131}) {
    const Tensor value = random_tensor(f32({tokens}), "value", 1, 3);
    all.push_back({.op = &kWeightedSum,
                   .inputs = {value, scale},
                   .differentiable = tokens > 0,
                   .constant_inputs = {WeightedSum::scale}});
    for (const DType t : {DType::f32, DType::f64})
      all.push_back({.op = &kBroadcastScale,
                     .inputs = {Tensor({{1}, DType::f64}, {0.3}), scale, value.as(t)}});
    all.push_back({.op = &kWeightedSum,
                   .inputs = {value.as(DType::f64), scale},
                   .differentiable = tokens > 0,
                   .constant_inputs = {WeightedSum::scale}});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(WeightedSum, weighted_sum_examples)

TEST(WeightedSum, OrderChangesNoBitAndNothingIsLost) {
  const Tensor scale(f32({1}), {0.5});
  const auto total = [&](const std::vector<double>& values, DType t) {
    return run(kWeightedSum, {Tensor({{int64_t(values.size())}, t}, values), scale}, {},
               {.device = Device::cpu})[0]
        .at(0);
  };
  EXPECT_EQ(total({3e38, 1.5, -3e38}, DType::f32), 0.75);
  EXPECT_EQ(total({1e300, 1.5, -1e300}, DType::f64), 0.75);
  auto values = wide_tensor({131}).values();
  const double forward = total(values, DType::f32);
  std::reverse(values.begin(), values.end());
  EXPECT_EQ(total(values, DType::f32), forward);
  EXPECT_EQ(total(values, DType::f64), forward);
  EXPECT_TRUE(std::isnan(total({1, kInfinity}, DType::f32)));
}

}  // namespace
}  // namespace birkhoff::testing
