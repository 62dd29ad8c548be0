#include "kernels/streams.h"

#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

std::vector<Example> streams_examples() {
  std::vector<Example> all;
  for (const auto& [tokens, width, n] :
       {std::tuple{1, 1, 1}, {3, 7, 4}, {37, 16, 2}, {2, 33, 3}, {5, 64, 8}}) {
    const StreamsDesc desc{.n = n};
    all.push_back({.op = &kCopyStreams,
                   .inputs = {random_tensor(f32({tokens, width}), "x")},
                   .desc = desc,
                   .tolerance = 0.5,
                   .stored = {CopyStreams::x}});  // copies are exact; sums with a base round once
    all.push_back({.op = &kSumStreams,
                   .inputs = {random_tensor(f32({tokens, n * width}), "x")},
                   .desc = desc,
                   .tolerance = double(n) + 1,  // n − 1 additions, each accurate to half an ulp
                   .stored = {SumStreams::x}});
    all.push_back({.op = &kSpreadStreams,
                   .inputs = {random_tensor(f32({tokens, width}), "x")},
                   .desc = desc,
                   .tolerance = 2,  // 1 / n, a product, and a sum with a base
                   .stored = {CopyStreams::x}});
    all.push_back({.op = &kMeanStreams,
                   .inputs = {random_tensor(f32({tokens, n * width}), "x")},
                   .desc = desc,
                   .tolerance = double(n) + 3,
                   .stored = {SumStreams::x}});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Streams, streams_examples)

TEST(Streams, OfATokenLieOneAfterTheOther) {
  const Tensor x(f32({2, 2}), {1, 2, 3, 4});
  const auto copied = run(kCopyStreams, {x}, StreamsDesc{.n = 3}, {.device = Device::cpu});
  EXPECT_EQ(copied[0].values(), (std::vector<double>{1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4}));
  const Tensor streams(f32({1, 6}), {1, 2, 10, 20, 100, 200});
  const auto sum = run(kSumStreams, {streams}, StreamsDesc{.n = 3}, {.device = Device::cpu});
  EXPECT_EQ(sum[0].values(), (std::vector<double>{111, 222}));
  const auto mean = run(kMeanStreams, {streams}, StreamsDesc{.n = 3}, {.device = Device::cpu});
  for (int i = 0; i < 2; ++i) EXPECT_NEAR(mean[0].values()[i], sum[0].values()[i] / 3, 1e-5);
  const auto spread = run(kSpreadStreams, {Tensor(f32({1, 2}), {6, 8})}, StreamsDesc{.n = 2},
                          {.device = Device::cpu});
  EXPECT_EQ(spread[0].values(), (std::vector<double>{3, 4, 3, 4}));
}

TEST(Streams, RefuseAWidthThatIsNoMultipleOfN) {
  const std::vector<TensorSpec> specs = {f32({2, 7})};
  EXPECT_THROW(kSumStreams.outputs(specs, StreamsDesc{.n = 2}), InternalError);
  EXPECT_THROW(kSumStreams.outputs(specs, StreamsDesc{.n = 0}), InternalError);
  EXPECT_THROW(kCopyStreams.outputs(specs, StreamsDesc{.n = 0}), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
