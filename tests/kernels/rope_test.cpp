#include "kernels/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

Tensor positions(const std::vector<double>& values) {
  return {{{int64_t(values.size())}, DType::i32}, values};
}

std::vector<Example> rope_examples() {
  std::vector<Example> all;
  struct Case {
    int64_t tokens, heads, width, dims;
  };
  for (const auto& [tokens, heads, width, dims] :
       {Case{1, 1, 2, 2}, {3, 2, 7, 4}, {5, 3, 24, 24}, {33, 2, 48, 34}, {2, 1, 5, 0}}) {
    std::vector<double> at;  // positions that restart, as at the start of a document
    for (int64_t t = 0; t < tokens; ++t) at.push_back(double(t % 5 == 4 ? 0 : 131 * t));
    const Rope::Desc plain{.heads = heads, .dims = dims, .theta = 1e4};
    Rope::Desc yarn = plain, flipped = plain;
    yarn.factor = 40, yarn.low = 1, yarn.high = 5.5, yarn.magnitude = 1.25;
    flipped.factor = 3, flipped.low = 2, flipped.high = -1;  // as few original positions give
    for (Rope::Desc desc : {plain, yarn, flipped})
      for (const bool inverse : {false, true}) {
        desc.inverse = inverse;
        all.push_back({.op = &kRope,
                       .inputs = {random_tensor(f32({tokens, heads * width}), "x"), positions(at)},
                       .desc = desc,
                       .stored = {Rope::x}});
      }
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Rope, rope_examples)

// Three features, the last two rotated by 2 radians (theta to the 0), written out by hand.
TEST(Rope, TurnsAPairByThePosition) {
  const Tensor x(f32({1, 3}), {5, 1, 0});
  const auto y = run(kRope, {x, positions({2})}, Rope::Desc{.dims = 2}, {.device = Device::cpu})[0];
  EXPECT_EQ(y.at(0), 5);
  EXPECT_NEAR(y.at(1), std::cos(2.0), 3e-7);
  EXPECT_NEAR(y.at(2), std::sin(2.0), 3e-7);
}

// Neighbours form pairs, (0, 1) and (2, 3), and later pairs rotate slower; a half-split layout
// would rotate other pairs.
TEST(Rope, PairsAreInterleaved) {
  const Tensor x(f32({1, 4}), {1, 0, 0, 1});
  const auto y = run(kRope, {x, positions({3})}, Rope::Desc{.dims = 4}, {.device = Device::cpu})[0];
  const double slow = 3 * std::pow(10000.0, -0.5);
  const double want[] = {std::cos(3.0), std::sin(3.0), -std::sin(slow), std::cos(slow)};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(y.at(i), want[i], 3e-7) << i;
}

// With theta 10^4, pairs 0 to 3 rotate by 1, 0.1, 0.01 and 0.001 per position. With the ramp from 1
// to 3 and factor 4, the third has half of 0.01 plus half of 0.0025, the fourth a quarter of 0.001;
// all become 1.5 times as long. The positions give angles of a few radians.
TEST(Rope, YarnKeepsFastPairsAndSlowsTheOthers) {
  const Rope::Desc desc{
      .dims = 8, .theta = 1e4, .factor = 4, .low = 1, .high = 3, .magnitude = 1.5};
  const double slow[] = {1, 0.1, 0.00625, 0.00025};
  for (const double at : {2.0, 30.0, 300.0, 9000.0}) {
    const Tensor x(f32({1, 8}), {1, 0, 1, 0, 1, 0, 1, 0});
    for (const Device device : {Device::cpu, Device::reference}) {
      const auto y = run(kRope, {x, positions({at})}, desc, {.device = device})[0];
      for (int i = 0; i < 4; ++i) {
        EXPECT_NEAR(y.at(2 * i), 1.5 * std::cos(at * slow[i]), 5e-7) << at << " " << i;
        EXPECT_NEAR(y.at(2 * i + 1), 1.5 * std::sin(at * slow[i]), 5e-7) << at << " " << i;
      }
    }
  }
}

// Listings also show the scaling only if there is one.
TEST(Rope, AFactorOfOneIsThePlainRotation) {
  const Tensor x = random_tensor(f32({3, 12}), "x"), at = positions({0, 7, 4095});
  Rope::Desc plain{.dims = 12}, other = plain;
  other.low = 3, other.high = 3;
  for (const Device device : {Device::cpu, Device::reference})
    EXPECT_EQ(run(kRope, {x, at}, plain, {.device = device})[0].bytes,
              run(kRope, {x, at}, other, {.device = device})[0].bytes);
  EXPECT_EQ(Desc(plain).text(), "heads=1 dims=12 theta=10000 inverse=false");
  other.magnitude = 2;
  EXPECT_EQ(Desc(other).text(),
            "heads=1 dims=12 theta=10000 inverse=false factor=1 low=3 high=3 magnitude=2");
}

TEST(Rope, KeepsNormsAndInverseUndoesIt) {
  const int64_t tokens = 9, width = 22;
  const Tensor x = random_tensor(f32({tokens, width}), "x");
  const Tensor at = positions({0, 1, 2, 100, 4095, 131071, 1048575, 7, 8});
  Rope::Desc desc{.dims = width};
  const auto y = run(kRope, {x, at}, desc, {.device = Device::cpu})[0];
  for (int64_t t = 0; t < tokens; ++t) {
    double before = 0, after = 0;
    for (int64_t c = 0; c < width; ++c) {
      before += x.at(t * width + c) * x.at(t * width + c);
      after += y.at(t * width + c) * y.at(t * width + c);
    }
    EXPECT_NEAR(after / before, 1, 1e-6) << t;
  }
  desc.inverse = true;
  expect_close(run(kRope, {y, at}, desc, {.device = Device::cpu})[0], x, 1e-6 * 4, "undone");
}

// After the rotation, q·k depends only on the distance, even a million tokens in.
TEST(Rope, ProductsDependOnTheDistanceAlone) {
  const int64_t width = 32;
  const Tensor qk = random_tensor(f32({2, width}), "qk");
  const auto product = [&](double at_q, double at_k) {
    const auto y = run(kRope, {qk, positions({at_q, at_k})}, Rope::Desc{.dims = width},
                       {.device = Device::cpu})[0];
    double sum = 0;
    for (int64_t c = 0; c < width; ++c) sum += y.at(c) * y.at(width + c);
    return sum;
  };
  for (const double distance : {0.0, 1.0, 17.0, 3000.0}) {
    const double want = product(distance, 0);
    for (const double from : {1.0, 1000.0, 1048576.0})
      EXPECT_NEAR(product(from + distance, from), want, 2e-5) << from << " " << distance;
  }
  EXPECT_GT(std::abs(product(1, 0) - product(0, 1)), 1e-2);  // and on its sign
}

TEST(Rope, RefusesWhatDoesNotFit) {
  const TensorSpec x = f32({2, 8}), at{{2}, DType::i32};
  const auto ask = [](std::vector<TensorSpec> specs, Rope::Desc desc) {
    return kRope.outputs(specs, desc);
  };
  EXPECT_THROW(ask({x, at}, {.heads = 3, .dims = 2}), InternalError);
  EXPECT_THROW(ask({x, at}, {.heads = 2, .dims = 3}), InternalError);
  EXPECT_THROW(ask({x, at}, {.heads = 2, .dims = 6}), InternalError);
  EXPECT_THROW(ask({x, {{3}, DType::i32}}, {.heads = 2, .dims = 2}), InternalError);
  EXPECT_THROW(ask({x, at}, {.dims = 2, .factor = 0}), InternalError);
  EXPECT_THROW(ask({x, at}, {.dims = 2, .factor = 2, .low = 1, .high = 1}), InternalError);
  EXPECT_THROW(ask({x, at}, {.dims = 2, .magnitude = 0}), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
