#include "kernels/embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
TensorSpec i32(Shape shape) { return {std::move(shape), DType::i32}; }

Tensor tokens(const std::vector<double>& ids) { return {i32({int64_t(ids.size())}), ids}; }

std::vector<Example> examples_of(const Tensor& token, int64_t rows, int64_t width) {
  const Tensor table = random_tensor(f32({rows, width}), "table");
  const Tensor dy = random_tensor(f32({token.spec.count(), width}), "dy");
  const std::string label = fmt::format("{} of {}x{}", token.spec.count(), rows, width);
  return {{.op = &kEmbedding, .inputs = {token, table}, .desc = EmbeddingDesc(), .label = label},
          {.op = &kEmbeddingBackward,
           .inputs = {dy, token, table},
           .label = label,
           .stored = {EmbeddingBackward::dy}},
          {.op = &kEmbedding,
           .inputs = {token, table},
           .desc = EmbeddingDesc{.bf16 = true},
           .label = label + " bf16"}};
}

Tensor many_tokens(int64_t count, int64_t rows) {
  Tensor token(i32({count}));
  for (int64_t t = 0; t < count; ++t) token.set(t, double((t * t + 3 * t) % rows));
  return token;
}

std::vector<Example> embedding_examples() {
  std::vector<Example> all;
  for (const auto& [token, rows, width] : {std::tuple{tokens({0}), 1, 1},
                                           {tokens({4, 0, 4, 4, 2}), 5, 7},
                                           {tokens({1, 1}), 3, 33},
                                           {many_tokens(31, 7), 7, 9}})
    for (Example& e : examples_of(token, rows, width)) all.push_back(std::move(e));
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Embedding, embedding_examples)

// More than one task in each direction. There is no gradient check, since the small sizes have one.
TEST(Embedding, LargerSizesMatchReference) {
  for (Example& e : examples_of(many_tokens(131, 57), 57, 131)) {
    e.differentiable = false;
    check_operator(e);
  }
}

TEST(Embedding, RowsAreCopiedBitForBit) {
  const Tensor table = random_tensor(f32({5, 3}), "table");
  const auto y =
      run(kEmbedding, {tokens({3, 0, 3}), table}, EmbeddingDesc(), {.device = Device::cpu})[0];
  const int64_t rows[3] = {3, 0, 3};
  for (int64_t i = 0; i < 9; ++i) EXPECT_EQ(y.at(i), table.at(rows[i / 3] * 3 + i % 3));
}

// Whole numbers up to 2^24 add exactly in any order; 1 added to 2^24 three times does not, which
// shows that repeated tokens are added one after the other, from first to last.
TEST(Embedding, RepeatedTokensAddInTheirOrder) {
  const Tensor table(f32({2, 1}), {0, 0}), token = tokens({1, 1, 0, 1, 1});
  const auto sum = [&](const std::vector<double>& dy) {
    return run(kEmbeddingBackward, {Tensor(f32({5, 1}), dy), token, table}, {},
               {.device = Device::cpu})[0]
        .values();
  };
  EXPECT_THAT(sum({16777216, 1, 5, 1, 1}), ::testing::ElementsAre(5, 16777216));
  EXPECT_THAT(sum({1, 1, 5, 1, 16777216}), ::testing::ElementsAre(5, 16777220));
}

TEST(Embedding, InPlaceOnlyTouchedRowsChange) {
  for (const Example& e : examples_of(tokens({6, 2, 6}), 9, 13)) {
    if (e.op != &kEmbeddingBackward) continue;
    const auto dtable =
        run(*e.op, e.inputs, e.desc, {.device = Device::cpu, .threads = 2, .in_place = true})[0];
    const Tensor base = random_tensor(dtable.spec, "base0");
    for (int64_t i = 0; i < dtable.spec.count(); ++i) {
      const bool touched = i / 13 == 6 || i / 13 == 2;
      EXPECT_EQ(dtable.at(i) != base.at(i), touched) << i;
    }
  }
}

// Neither time nor bytes grow with the vocabulary.
TEST(Embedding, CostIsThatOfTheTokens) {
  for (const Operator* op : {&kEmbedding, &kEmbeddingBackward}) {
    double cost[2];
    for (const int large : {0, 1})
      for (const Example& e : examples_of(tokens({1, 2}), large ? 1000 : 10, 3)) {
        std::vector<TensorSpec> specs;
        for (const Tensor& t : e.inputs) specs.push_back(t.spec);
        if (e.op == op) cost[large] = op->bytes(specs, e.desc) + op->flops(specs, e.desc);
      }
    EXPECT_EQ(cost[0], cost[1]) << op->name;
  }
}

TEST(Embedding, IdsOutsideTheTableAreNamed) {
  for (const double bad : {-1, 5, 2147483647})
    for (const Example& e : examples_of(tokens({4, 0, bad}), 5, 7)) try {
        run(*e.op, e.inputs, e.desc, {.device = Device::cpu, .threads = 2});
        ADD_FAILURE() << e.op->name << " accepted " << bad;
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(),
                    ::testing::HasSubstr(fmt::format(
                        "token id {} at position 2 is outside the table of 5 rows", int64_t(bad))));
      }
}

TEST(Embedding, RefusesShapesThatDoNotMatch) {
  EXPECT_THROW(kEmbedding.outputs(std::vector<TensorSpec>{f32({3}), f32({5, 7})}, EmbeddingDesc()),
               InternalError);
  EXPECT_THROW(kEmbeddingBackward.outputs(
                   std::vector<TensorSpec>{f32({3, 6}), i32({3}), f32({5, 7})}, EmbeddingDesc()),
               InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
