// The update list of a program with two parameters, against AdamW's formulas in double.
#include "engine/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/autograd/differentiate.h"
#include "engine/execute/executor.h"
#include "engine/optim/schedule.h"
#include "kernels/weighted_sum.h"

namespace birkhoff {
namespace {

struct Expected {  // of one element; all elements of a parameter are equal
  double p, decay, m = 0, v = 0;
  void step(const OptimConfig& o, double lr, double g, int t) {
    m = o.beta1 * m + (1 - o.beta1) * g, v = o.beta2 * v + (1 - o.beta2) * g * g;
    const double mean = m / (1 - std::pow(o.beta1, t)), square = v / (1 - std::pow(o.beta2, t));
    p -= lr * (mean / (std::sqrt(square) + o.eps) + decay * p);
  }
};

// loss = a·Σ w + b·Σ gain: the gradients are a and b. w is a matrix, gain belongs to a norm.
class Optimizer : public ::testing::Test {
 protected:
  void run(double clip_norm) {
    c_.optim.clip_norm = clip_norm;
    const Value seed = differentiate(p_, loss_);
    const OptimizerIo io = trace_update(p_, c_);
    const Schedule schedule = {micro_batch_part(p_), update_part(p_)};
    ThreadTeam team(1);
    Executor executor(schedule, team, {.poison = true});
    executor.data<double>(seed)[0] = 1;
    for (const Plan::Named& s : executor.plan().named(Kind::state))
      std::fill_n(executor.address(s.place), s.place.bytes, std::byte{0});
    for (float& w : executor.data<float>(w_)) w = 0.5f;
    for (float& g : executor.data<float>(gain_)) g = 1;
    Expected w{.p = 0.5, .decay = c_.optim.weight_decay};
    Expected gain{.p = 1, .decay = c_.optim.weight_decay_norm};
    for (int t = 1; t <= 6; ++t) {
      const float a = 3.0f / float(t), b = t % 2 ? -4.0f : 1.0f;
      executor.data<float>(a_)[0] = a, executor.data<float>(b_)[0] = b;
      const auto hyper = hyper_of(c_, t);
      std::copy(hyper.begin(), hyper.end(), executor.data<float>(io.hyper).begin());
      executor.begin_step();
      executor.run(0);
      executor.run(1);
      const double norm = std::sqrt(5.0 * a * a + 2.0 * b * b);
      EXPECT_NEAR(executor.data<double>(io.norm)[0], norm, 1e-14 * norm);
      const double scale = clip_norm > 0 ? std::min(1.0, clip_norm / norm) : 1;
      const double lr = learning_rate(c_.optim, c_.train.steps, t);
      w.step(c_.optim, lr, scale * double(a), t), gain.step(c_.optim, lr, scale * double(b), t);
      // About ten roundings of a number near 1 per step, six steps: 60·2⁻²⁴.
      for (const float x : executor.data<float>(w_)) EXPECT_NEAR(double(x), w.p, 4e-6) << t;
      for (const float x : executor.data<float>(gain_)) EXPECT_NEAR(double(x), gain.p, 4e-6) << t;
    }
  }

  Optimizer() {
    c_.optim.lr = 0.05, c_.optim.warmup_steps = 2, c_.optim.schedule = LrSchedule::constant;
    c_.optim.eps = 1e-8, c_.optim.weight_decay = 0.4, c_.optim.weight_decay_norm = 0.1;
    p_.emit(kWeightedSum, {w_, a_}, {}, {.accumulate = {loss_}});
    p_.emit(kWeightedSum, {gain_, b_}, {}, {.accumulate = {loss_}});
  }

  Config c_;
  Program p_;
  Value w_ = p_.parameter({.name = "w", .shape = {5}});
  Value gain_ = p_.parameter({.name = "gain", .shape = {2}, .decay = Decay::norm});
  Value a_ = p_.add(Kind::constant, "a", {{1}, DType::f32});
  Value b_ = p_.add(Kind::constant, "b", {{1}, DType::f32});
  Value loss_ = p_.add(Kind::accumulator, "loss", {{1}, DType::f64});
};

TEST_F(Optimizer, IsAdamW) { run(0); }
TEST_F(Optimizer, ClipsByTheNormOfAllParametersTogether) { run(5); }

}  // namespace
}  // namespace birkhoff
