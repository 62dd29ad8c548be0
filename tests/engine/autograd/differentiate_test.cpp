// Gradients of programs of a few calls, against results worked out by hand.
#include "engine/autograd/differentiate.h"

#include <gtest/gtest.h>

#include "engine/execute/executor.h"
#include "kernels/identity.h"
#include "kernels/weighted_sum.h"

namespace birkhoff {
namespace {

const TensorSpec kThree{{3}, DType::f32}, kOne{{1}, DType::f32};

// Two parameters w and v of three elements; loss = Σ of what sum() was called with.
class Differentiate : public ::testing::Test {
 protected:
  Value copy(Value x, Value base = {}) { return p.emit(kIdentity, {x}, {}, {.base = {base}})[0]; }
  // loss += factor·Σ x
  void sum(Value x, float factor) {
    factors.emplace_back(p.add(Kind::constant, "", kOne), factor);
    p.emit(kWeightedSum, {x, factors.back().first}, {}, {.accumulate = {loss}});
  }
  // The gradients of w and v; each has three equal elements.
  std::pair<float, float> gradients() {
    const Value seed = differentiate(p, loss);
    ThreadTeam team(1);
    const Schedule schedule = {micro_batch_part(p)};
    Executor executor(schedule, team, {.poison = true});
    for (const auto& [value, factor] : factors) executor.data<float>(value)[0] = factor;
    executor.data<double>(seed)[0] = 1;
    executor.begin_step();
    executor.run(0);
    const auto of = [&](Value parameter) {
      const auto g = executor.data<float>(Value{&p, p.gradient_of.at(parameter.id)});
      EXPECT_TRUE(g[0] == g[1] && g[1] == g[2]);
      return g[0];
    };
    return {of(w), of(v)};
  }

  Program p;
  Value w = p.parameter({.name = "w", .shape = {3}}), v = p.parameter({.name = "v", .shape = {3}});
  Value loss = p.add(Kind::accumulator, "loss", {{1}, DType::f64});
  std::vector<std::pair<Value, float>> factors;
};
using Pair = std::pair<float, float>;

TEST_F(Differentiate, ABaseGetsTheGradientAsItIs) {
  const Value a = copy(w), y = copy(copy(v), a);
  sum(y, 2);
  EXPECT_EQ(gradients(), Pair(2, 2));
}

TEST_F(Differentiate, ABaseThatIsAParameterToo) {
  sum(copy(v, w), 3);
  EXPECT_EQ(gradients(), Pair(3, 3));
}

TEST_F(Differentiate, GradientsOfAllReadersAddUp) {
  const Value a = copy(w);
  sum(a, 1), sum(a, 2), sum(copy(a), 4), sum(v, 8);
  EXPECT_EQ(gradients(), Pair(7, 8));
}

// The base's gradient is added to one that an operator has made before, and the other way round.
TEST_F(Differentiate, ABaseWithFurtherReaders) {
  const Value a = copy(w), y = copy(v, a);
  sum(y, 1), sum(a, 2);
  const Value z = copy(v, a);
  sum(a, 4), sum(z, 8);
  EXPECT_EQ(gradients(), Pair(15, 9));
}

TEST_F(Differentiate, AParameterReadTwice) {
  sum(w, 1), sum(copy(w), 2), sum(v, 4), sum(copy(v, w), 8);
  EXPECT_EQ(gradients(), Pair(11, 12));
}

// What the loss does not depend on gets no call; a parameter without a gradient is an error.
TEST_F(Differentiate, ValuesThatNobodyReads) {
  const Value a = copy(w);
  copy(a), copy(v, a);
  sum(a, 3), sum(v, 1);
  EXPECT_EQ(gradients(), Pair(3, 1));
  EXPECT_EQ(p.input_gradient.size() + p.weight_gradient.size(), 3u);
}

TEST_F(Differentiate, AParameterThatDoesNotActIsNamed) {
  sum(w, 1);
  EXPECT_THROW(differentiate(p, loss), InternalError);
}

}  // namespace
}  // namespace birkhoff
