#include "kernels/stream_statistics.h"

#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

using S = StreamStatistics;

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
Tensor flag(int value) { return Tensor({{1}, DType::i32}, {double(value)}); }

struct Size {
  int tokens, n, width;
};

std::vector<Example> statistics_examples() {
  std::vector<Example> all;
  for (const Size s : {Size{1, 1, 5}, {3, 2, 7}, {19, 3, 33}, {65, 4, 40}, {200, 4, 9}, {64, 8, 6}})
    for (const int when : {0, 1})
      all.push_back({.op = &kStreamStatistics,
                     .inputs = {random_tensor(f32({s.tokens, s.n * s.width}), "x"),
                                random_tensor(f32({s.tokens, s.n * s.n}), "res"), flag(when)},
                     .label = fmt::format("{}x{}x{} {}", s.tokens, s.n, s.width, when),
                     // Three f32 sums of at most 40 products in a cosine of size ≤ 1.
                     .tolerance = 3 * 40,
                     .scale = double(s.tokens),
                     .differentiable = false,
                     .stored = {StreamStatistics::x}});
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(StreamStatistics, statistics_examples)

// Streams along, against and across each other, and one of zeros.
TEST(StreamStatistics, OfKnownStreams) {
  const Tensor res(f32({1, 9}), {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto alike = [&](std::vector<double> x) {
    const auto out = run(kStreamStatistics, {Tensor(f32({1, 6}), std::move(x)), res, flag(1)}, {},
                         {.device = Device::cpu});
    for (int k = 0; k < 9; ++k) EXPECT_EQ(out[0].at(k), k + 1);
    EXPECT_EQ(out[0].at(10), 1);
    return out[0].at(9);
  };
  EXPECT_NEAR(alike({1, 2, 2, 4, 3, 6}), 1, 1e-6);          // 1, 1, 1
  EXPECT_NEAR(alike({1, 0, -1, 0, 0, 5}), -1.0 / 3, 1e-6);  // −1, 0, 0
  EXPECT_NEAR(alike({0, 0, 1, 1, 2, 2}), 1.0 / 3, 1e-6);    // 0, 0, 1
  EXPECT_EQ(alike({0, 0, 0, 0, 0, 0}), 0);
}

// What is not asked for costs nothing: x is not even read.
TEST(StreamStatistics, OffReadsNothing) {
  const Tensor nan(f32({2, 4}), std::vector<double>(8, std::nan("")));
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto out = run(kStreamStatistics, {nan, nan, flag(0)}, {}, {.device = device});
    for (int k = 0; k < 6; ++k) EXPECT_EQ(out[0].at(k), 0);
  }
}

TEST(StreamStatistics, RefusesShapesThatDoNotMatch) {
  const std::vector<TensorSpec> specs = {f32({2, 8}), f32({2, 4}), {{1}, DType::i32}};
  EXPECT_NO_THROW(kStreamStatistics.outputs(specs, {}));
  for (size_t i = 0; i < specs.size(); ++i) {
    auto wrong = specs;
    wrong[i].shape.back() += 1;
    EXPECT_THROW(kStreamStatistics.outputs(wrong, {}), InternalError) << i;
  }
}

}  // namespace
}  // namespace birkhoff::testing
