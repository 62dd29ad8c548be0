#include "kernels/split.h"

#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

std::vector<Example> split_examples() {
  std::vector<Example> all;
  struct Case {
    int64_t tokens, first, second;
  };
  for (const auto& [tokens, first, second] : {Case{1, 1, 1}, {3, 7, 19}, {35, 32, 5}}) {
    const Split::Desc desc{.first = first, .second = second};
    const Tensor a = random_tensor(f32({tokens, first}), "a");
    const Tensor b = random_tensor(f32({tokens, second}), "b");
    all.push_back({.op = &kSplit,
                   .inputs = {random_tensor(f32({tokens, first + second}), "x")},
                   .desc = desc,
                   .stored = {Split::x}});
    const auto add_concat = [&](const Tensor& x, const Tensor& y, const std::vector<int>& given) {
      all.push_back({.op = &kConcat, .inputs = {x, y}, .desc = desc, .stored = given});
    };
    add_concat(a, b, {Concat::a, Concat::b});
    add_concat({}, b, {Concat::b});
    add_concat(a, {}, {Concat::a});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Split, split_examples)

TEST(Split, PartsAreWhereTheyWere) {
  const Tensor x(f32({2, 3}), {1, 2, 3, 4, 5, 6});
  const Split::Desc desc{.first = 1, .second = 2};
  const auto parts = run(kSplit, {x}, desc, {.device = Device::cpu});
  EXPECT_EQ(parts[Split::a].values(), (std::vector<double>{1, 4}));
  EXPECT_EQ(parts[Split::b].values(), (std::vector<double>{2, 3, 5, 6}));
  expect_same_bits(run(kConcat, parts, desc, {.device = Device::cpu})[0], x, "joined again");
}

TEST(Split, APartWithoutAGradientCountsAsZeros) {
  const Split::Desc desc{.first = 1, .second = 2};
  const Tensor x(f32({2, 3}), {1, 2, 3, 4, 5, 6}), db(f32({2, 2}), {1, 2, 3, 4});
  const auto dx = gradients(kSplit, in_double({x}), desc, {Tensor(), db.as(DType::f64)})[0];
  EXPECT_EQ(dx.values(), (std::vector<double>{0, 1, 2, 0, 3, 4}));
}

TEST(Split, RefusesWidthsThatDoNotMatch) {
  const Split::Desc desc{.first = 2, .second = 2};
  const auto split = [&](std::vector<TensorSpec> s) { return kSplit.outputs(s, desc); };
  const auto concat = [&](std::vector<TensorSpec> s) { return kConcat.outputs(s, desc); };
  EXPECT_THROW(split({f32({2, 3})}), InternalError);
  EXPECT_THROW(concat({f32({2, 2}), f32({2, 3})}), InternalError);
  EXPECT_THROW(concat({f32({2, 2}), f32({3, 2})}), InternalError);
  EXPECT_THROW(concat({{}, {}}), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
