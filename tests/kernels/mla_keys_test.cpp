#include "kernels/mla_keys.h"

#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

std::vector<Example> mla_keys_examples() {
  std::vector<Example> all;
  struct Case {
    int64_t tokens, heads, nope, rope, value;
  };
  for (const auto& [tokens, heads, nope, rope, value] :
       {Case{1, 1, 1, 2, 1}, {3, 2, 5, 4, 7}, {19, 3, 16, 18, 33}, {2, 4, 0, 6, 3}}) {
    const MlaKeys::Desc desc{.heads = heads, .nope = nope, .rope = rope, .value = value};
    all.push_back({.op = &kMlaKeys,
                   .inputs = {random_tensor(f32({tokens, heads * (nope + value)}), "kv"),
                              random_tensor(f32({tokens, rope}), "k_rope")},
                   .desc = desc,
                   .stored = {MlaKeys::kv, MlaKeys::k_rope}});
    const Tensor dk = random_tensor(f32({tokens, heads * (nope + rope)}), "dk");
    const Tensor dv = random_tensor(f32({tokens, heads * value}), "dv");
    using B = MlaKeysBackward;
    const auto add_back = [&](const Tensor& a, const Tensor& b, const std::vector<int>& given) {
      all.push_back({.op = &kMlaKeysBackward, .inputs = {a, b}, .desc = desc, .stored = given});
    };
    add_back(dk, dv, {B::dk, B::dv});
    add_back({}, dv, {B::dv});
    add_back(dk, {}, {B::dk});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(MlaKeys, mla_keys_examples)

TEST(MlaKeys, EveryHeadGetsItsOwnPartAndTheSharedOne) {
  const MlaKeys::Desc desc{.heads = 2, .nope = 1, .rope = 2, .value = 1};
  const Tensor kv(f32({1, 4}), {1, 2, 3, 4}), k_rope(f32({1, 2}), {8, 9});
  const auto out = run(kMlaKeys, {kv, k_rope}, desc, {.device = Device::cpu});
  EXPECT_EQ(out[MlaKeys::k].values(), (std::vector<double>{1, 8, 9, 3, 8, 9}));
  EXPECT_EQ(out[MlaKeys::v].values(), (std::vector<double>{2, 4}));
}

TEST(MlaKeys, RefusesShapesThatDoNotMatch) {
  const MlaKeys::Desc desc{.heads = 2, .nope = 1, .rope = 2, .value = 1};
  const auto forward = [&](std::vector<TensorSpec> s) { return kMlaKeys.outputs(s, desc); };
  const auto back = [&](std::vector<TensorSpec> s) { return kMlaKeysBackward.outputs(s, desc); };
  EXPECT_THROW(forward({f32({1, 5}), f32({1, 2})}), InternalError);
  EXPECT_THROW(forward({f32({1, 4}), f32({2, 2})}), InternalError);
  EXPECT_THROW(back({f32({1, 6}), f32({1, 3})}), InternalError);
  EXPECT_THROW(back({{}, {}}), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
