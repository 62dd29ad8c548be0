#include "kernels/stream_statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

using S = StreamStatistics;

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
Tensor flag(int value) { return Tensor({{1}, DType::i32}, {double(value)}); }
// Positions of `tokens` rows; every `padding`-th one is padding.
Tensor positions(int64_t tokens, int64_t padding = 0) {
  Tensor t({{tokens}, DType::i32});
  for (int64_t i = 0; i < tokens; ++i)
    t.set(i, padding && i % padding == padding - 1 ? -1.0 : double(i));
  return t;
}

struct Size {
  int tokens, n, width;
  int padding = 0;
};

std::vector<Example> statistics_examples() {
  std::vector<Example> all;
  for (const Size s : {Size{1, 1, 5},
                       {3, 2, 7},
                       {19, 3, 33},
                       {65, 4, 40},
                       {200, 4, 9},
                       {64, 8, 6},
                       {130, 4, 9, 3},
                       {70, 1, 3, 2},
                       {5, 2, 4, 1}})
    for (const int when : {0, 1})
      all.push_back(
          {.op = &kStreamStatistics,
           .inputs = {random_tensor(f32({s.tokens, s.n * s.width}), "x"),
                      random_tensor(f32({s.tokens, s.n * s.n}), "res"), flag(when),
                      positions(s.tokens, s.padding)},
           .label = fmt::format("{}x{}x{}/{} {}", s.tokens, s.n, s.width, s.padding, when),
           // A cosine, of size ≤ 1, is computed from three f32 sums of at most 40 products.
           .tolerance = 3 * 40,
           .scale = double(s.tokens),
           .differentiable = false,
           .stored = {StreamStatistics::x}});
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(StreamStatistics, statistics_examples)

// Residual streams that are parallel, opposite or orthogonal to each other, or zero.
TEST(StreamStatistics, OfKnownStreams) {
  const Tensor res(f32({1, 9}), {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto alike = [&](std::vector<double> x) {
    const auto out =
        run(kStreamStatistics, {Tensor(f32({1, 6}), std::move(x)), res, flag(1), positions(1)}, {},
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

// With when = 0 the operator costs nothing: not even x is read.
TEST(StreamStatistics, OffReadsNothing) {
  const Tensor nan(f32({2, 4}), std::vector<double>(8, std::nan("")));
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto out =
        run(kStreamStatistics, {nan, nan, flag(0), positions(2)}, {}, {.device = device});
    for (int k = 0; k < 6; ++k) EXPECT_EQ(out[0].at(k), 0);
  }
}

// A mean over tokens must not depend on how many padding rows fill up a batch, nor on their
// contents.
TEST(StreamStatistics, PaddingIsNotCounted) {
  const int64_t tokens = 131, padding = 3;
  Tensor x = random_tensor(f32({tokens, 8}), "x"), res = random_tensor(f32({tokens, 4}), "res");
  std::vector<double> few_x, few_res;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < 8; ++i)
      if (t % padding != padding - 1) {
        few_x.push_back(x.at(t * 8 + i));
        if (i < 4) few_res.push_back(res.at(t * 4 + i));
      } else {
        x.set(t * 8 + i, std::nan("")), res.set(t * 4 + i / 2, std::nan(""));
      }
  const int64_t few = int64_t(few_res.size()) / 4;
  ASSERT_EQ(few, 88);
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto all = run(kStreamStatistics, {x, res, flag(1), positions(tokens, padding)}, {},
                         {.device = device}),
               alone = run(kStreamStatistics,
                           {Tensor(f32({few, 8}), few_x), Tensor(f32({few, 4}), few_res), flag(1),
                            positions(few)},
                           {}, {.device = device});
    EXPECT_EQ(all[0].at(5), 88);
    // The sums are in another order, which rounds a few units by 2^-53 per token.
    expect_close(all[0], alone[0], 1e-12, "statistics");
  }
}

// The cost of a call counts only the rows that it reads.
TEST(StreamStatistics, ReadsTheRowsOfTokens) {
  const Tensor when = flag(1), off = flag(0), position = positions(10, 4);
  const auto rows = [&](const Tensor& flags) {
    const Operand in[] = {
        {}, {}, {&flags.spec, flags.bytes.data()}, {&position.spec, position.bytes.data()}};
    return kStreamStatistics.rows({in, {}, nullptr, nullptr});
  };
  EXPECT_EQ(rows(when), 8);
  EXPECT_EQ(rows(off), 0);
}

TEST(StreamStatistics, RefusesShapesThatDoNotMatch) {
  const std::vector<TensorSpec> specs = {
      f32({2, 8}), f32({2, 4}), {{1}, DType::i32}, {{2}, DType::i32}};
  EXPECT_NO_THROW(kStreamStatistics.outputs(specs, {}));
  for (size_t i = 0; i < specs.size(); ++i) {
    auto wrong = specs;
    wrong[i].shape.back() += 1;
    EXPECT_THROW(kStreamStatistics.outputs(wrong, {}), InternalError) << i;
  }
}

}  // namespace
}  // namespace birkhoff::testing
