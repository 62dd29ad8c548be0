#include "engine/config/validate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace birkhoff {
namespace {

using Lines = std::vector<std::string>;

Lines lines(const Config& config, Severity severity, Use use = Use::reading) {
  Lines out;
  for (const Finding& f : findings(config, use))
    if (f.severity == severity) out.push_back(f.keys.front() + ": " + f.text);
  return out;
}

Lines errors(const Config& config, Use use = Use::reading) {
  return lines(config, Severity::error, use);
}
Lines warnings(const Config& config) { return lines(config, Severity::warning); }

Config quiet() {  // the defaults except for their warm-up
  Config c;
  c.optim.warmup_steps = 10;
  return c;
}

TEST(Validate, AcceptsTheDefaults) {
  EXPECT_EQ(errors(Config()), Lines());
  EXPECT_EQ(validate(quiet()), Lines());
}

TEST(Validate, ChecksTheRangesOfConfigsMadeInCode) {
  Config c = quiet();
  c.model.dim = 0;
  c.optim.lr = std::nan("");
  c.run.dir = "a\n";
  c.moe.active = 100000;  // would be more than moe.experts, but ranges come first
  EXPECT_EQ(errors(c),
            (Lines{"run.dir: control character 0x0a",
                   "model.dim: 0 is out of range; expects an integer from 1 to 65536",
                   "moe.active: 100000 is out of range; expects an integer from 1 to 256",
                   "optim.lr: nan is out of range; expects a number from 0 to 10"}));
}

TEST(Validate, ModelShapes) {
  Config c = quiet();
  c.model.rope_dim = 17;
  c.model.layers = 2;
  c.model.dense_layers = 3;
  c.moe.active = 9;
  EXPECT_EQ(errors(c), (Lines{"model.rope_dim: 17 is odd, but rotary positions need an even number",
                              "model.dense_layers: 3 is more than model.layers (2)",
                              "moe.active: 9 is more than moe.experts (8)"}));
  c = quiet();
  c.model.rope_beta_fast = 0.5;  // does nothing without yarn
  EXPECT_EQ(errors(c), Lines());
  c.model.rope_scaling = RopeScaling::yarn;
  EXPECT_EQ(errors(c), (Lines{"model.rope_beta_fast: 0.5 is less than model.rope_beta_slow (1)"}));
  c = quiet();
  c.model.layers = c.model.dense_layers = 3;
  c.moe.active = c.moe.experts;
  EXPECT_EQ(errors(c), Lines());
}

TEST(Validate, ExpertGroups) {
  Config c = quiet();
  c.moe.experts = 12;
  c.moe.groups = 5;
  c.moe.active_groups = 6;
  c.moe.active = 12;
  EXPECT_EQ(errors(c), (Lines{"moe.groups: 5 does not divide moe.experts (12)",
                              "moe.active_groups: 6 is more than moe.groups (5)"}));
  c.moe.groups = 6;
  c.moe.active_groups = 2;
  c.moe.active = 5;
  EXPECT_EQ(errors(c),
            Lines{"moe.active: 5 is more than the 4 experts of moe.active_groups (2) groups"});
  c.moe.active = 4;
  EXPECT_EQ(errors(c), Lines());
  c.moe.groups = c.moe.active_groups = c.moe.active = 12;  // groups of one expert
  EXPECT_EQ(errors(c), Lines());
}

TEST(Validate, Layouts) {
  Config c = quiet();
  c.parallel.tp = 3;
  c.parallel.pp = 3;
  c.parallel.chunks = 3;
  c.parallel.ep = 9;
  EXPECT_EQ(errors(c), (Lines{"parallel.tp: model.heads (4) is not a multiple of 3",
                              "parallel.pp: 3 stages of 3 chunks are more than model.layers (8)",
                              "parallel.ep: 9 is more than moe.experts (8)"}));
  c.parallel = {.pp = 4, .tp = 2, .ep = 8, .chunks = 2, .zero = 1};
  EXPECT_EQ(errors(c), Lines());
}

TEST(Validate, Batches) {
  Config c = quiet();
  c.train.global_batch = 10;
  c.train.micro_batch = 4;  // 4 + 4 + 2: a smaller last one is fine
  c.train.reduction_groups = 3;
  EXPECT_EQ(errors(c), Lines());
  c.train.reduction_groups = 4;
  EXPECT_EQ(errors(c),
            Lines{"train.reduction_groups: 4 is more than the 3 micro-batches of a step"});
  c.train.reduction_groups = 1;
  c.train.micro_batch = 11;
  EXPECT_EQ(errors(c), Lines{"train.micro_batch: 11 is more than train.global_batch (10)"});
  c = quiet();
  c.train.eval_every = 1;
  c.data.validation_fraction = 0;
  EXPECT_EQ(errors(c),
            Lines{"train.eval_every: evaluation needs held-out documents, but "
                  "data.validation_fraction is 0; raise it, or set train.eval_every to 0"});
  c.data.source = DataSourceKind::random;
  EXPECT_EQ(errors(c), Lines());
}

TEST(Validate, Schedules) {
  Config c = quiet();
  c.optim.step_points = {0.5, 0.5, 0.4};
  EXPECT_EQ(errors(c),
            (Lines{"optim.step_factors: has 2 numbers, but optim.step_points has 3",
                   "optim.step_points: 0.5 comes after 0.5, but the numbers must ascend",
                   "optim.step_points: 0.4 comes after 0.5, but the numbers must ascend"}));
}

TEST(Validate, OddChoicesAreLegal) {
  Config c;
  c.train.steps = 100;
  c.train.stop_at = 101;
  c.optim.warmup_steps = 101;
  c.optim.weight_decay_static = 0.1;
  EXPECT_EQ(errors(c), Lines());
  const Lines expected = {
      "optim.weight_decay_static: decay of mhc's alpha and b pulls its stream mixing towards "
      "uniform; 0 is recommended",
      "train.stop_at: 101 is beyond train.steps (100), where the run ends",
      "optim.warmup_steps: the warm-up of 101 steps is longer than the run of 100"};
  EXPECT_EQ(warnings(c), expected);
  EXPECT_EQ(validate(c), expected);
  EXPECT_EQ(last_step(c.train), 100);
  c.model.residual = ResidualKind::hc;
  EXPECT_EQ(warnings(c).front(),
            "optim.weight_decay_static: decay of hc's alpha and b makes its residual path fade; 0 "
            "is recommended");
  c.model.residual = ResidualKind::plain;
  EXPECT_EQ(warnings(c), Lines(expected.begin() + 1, expected.end()));
  c = quiet();
  c.train.steps = 100;
  c.optim.schedule = LrSchedule::wsd;
  c.optim.warmup_steps = 81;
  EXPECT_EQ(
      warnings(c),
      Lines{
          "optim.warmup_steps: the decay would begin before the warm-up ends, so it is shortened"});
  c.optim.warmup_steps = 80;
  EXPECT_EQ(warnings(c), Lines());
}

// A plan is of a run that train would start: plan refuses the layouts and devices that train
// refuses.
TEST(Validate, PlanningAndTrainingRefuseWhatIsNotBuilt) {
  Config c = quiet();
  c.run.dir = "";
  c.device = DeviceChoice::cuda;
  c.parallel = {
      .pp = 2, .tp = 2, .ep = 4, .chunks = 2, .zero = 1, .schedule = PipelineSchedule::zb_h1};
  EXPECT_EQ(errors(c), Lines());
  Lines refused = {
      "device: cuda is not available yet; choose auto or cpu",
      "parallel.pp: 2 is not available yet: every rank holds the whole model; set 1",
      "parallel.tp: 2 is not available yet: every rank holds the whole model; set 1",
      "parallel.ep: 4 is not available yet: every rank holds the whole model; set 1",
      "parallel.chunks: 2 is not available yet: every rank holds the whole model; set 1",
      "parallel.zero: 1 is not available yet: every rank holds the whole optimizer state; set 0",
      "parallel.schedule: zb_h1 is not available yet; choose 1f1b"};
  EXPECT_EQ(errors(c, Use::planning), refused);
  refused.push_back("run.dir: is empty; set it to a directory for the run");
  refused.push_back("data.path: is empty; set it to a dataset, or set data.source: random");
  EXPECT_EQ(errors(c, Use::training), refused);
  c = quiet();
  c.data.source = DataSourceKind::random;
  EXPECT_EQ(validate(c, Use::training), Lines());
}

TEST(Validate, ThrowsAllErrorsALineEach) {
  Config c;
  c.moe.active = 9;
  c.model.rope_dim = 3;
  try {
    validate(c);
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_STREQ(e.what(),
                 "model.rope_dim: 3 is odd, but rotary positions need an even number\nmoe.active: "
                 "9 is more than moe.experts (8)");
    EXPECT_EQ(e.code(), ExitCode::config);
  }
}

}  // namespace
}  // namespace birkhoff
