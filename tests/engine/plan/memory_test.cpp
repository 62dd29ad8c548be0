// The plan is exact: what a step really writes ends where the plan says, to the byte.
#include "engine/plan/plan.h"

#include <gtest/gtest.h>

#include "kernels/identity.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

// Written bytes may happen to equal one canary, but not both.
size_t high_water(const Config& c) {
  size_t most = 0;
  for (const std::byte canary : {std::byte{0xA5}, std::byte{0x5A}}) {
    ModelRun run(c, {.canary = canary});
    run.step();
    most = std::max(most, run.executor->high_water());
  }
  return most;
}

TEST(Plan, EqualsTheHighWaterMark) {
  for (const auto residual : {ResidualKind::plain, ResidualKind::hc, ResidualKind::mhc})
    for (const int64_t recompute : {int64_t(0), int64_t(2)})
      for (const int64_t sequence : {int64_t(5), int64_t(64)}) {
        Config c = small_config();
        c.model.residual = residual, c.train.recompute = recompute, c.train.sequence = sequence;
        const ModelRun run(c);
        EXPECT_EQ(high_water(c), run.executor->plan().bytes(Arena::activations));
      }
}

TEST(Plan, StaysNearTheFloor) {
  Config c = small_config();
  c.model.residual = ResidualKind::mhc, c.train.sequence = 64;
  const ModelRun run(c);
  const Plan& plan = run.executor->plan();
  EXPECT_GE(plan.bytes(Arena::activations), plan.activation_floor);
  // Measured 0 to 3 %; places are aligned to 64 bytes.
  EXPECT_LE(double(plan.bytes(Arena::activations)), 1.1 * double(plan.activation_floor));
}

void write_too_much(const Args& a) { std::fill_n(a.out<float>(0), a.count(0) + 16, 1.5f); }

// The same measure finds an operator that writes more than it declares.
TEST(Plan, AWrongSizeIsFound) {
  static const Operator kLiar{
      .name = "liar",
      .outputs = [](Specs in, const Desc&) -> Outputs { return {{.spec = in[0]}}; },
      .flops = [](Specs, const Desc&) { return 0.0; },
      .implementations = {kCpuBody<write_too_much>},
  };
  Program p;
  const Value x = p.add(Kind::input, "x", {{8}, DType::f32});
  const Value y = p.emit(kLiar, {x})[0];
  p.slots[size_t(p.emit(kIdentity, {y})[0].id)].kind = Kind::output;
  ThreadTeam team(1);
  const Schedule schedule = {forward_part("forward", p)};
  Executor executor(schedule, team, {.poison = true, .canary = std::byte{0xA5}});
  executor.run(0);
  EXPECT_GT(executor.high_water(), executor.plan().bytes(Arena::activations));
}

TEST(Plan, RefusesAScheduleThatReadsTooEarly) {
  Config c = small_config();
  c.model.residual = ResidualKind::mhc;
  Program p;
  differentiate(p, trace_training(p, c).loss);
  EXPECT_THROW(plan_memory({forward_part("forward", p), {"backward", {{{&p, &p.input_gradient}}}}}),
               InternalError);
}

// Deferred weight gradients need more memory and give the same bits.
TEST(Plan, DefersWeightGradients) {
  Config c = small_config();
  c.model.residual = ResidualKind::mhc, c.train.sequence = 32;
  ModelRun at_once(c);
  at_once.step();
  const Program& p = at_once.program;
  const Schedule late = {
      {"late", {{{&p, &p.forward}}, {{&p, &p.input_gradient}}, {{&p, &p.weight_gradient}}}}};
  EXPECT_GT(plan_memory(late).bytes(Arena::activations),
            at_once.executor->plan().bytes(Arena::activations));
}

}  // namespace
}  // namespace birkhoff::testing
