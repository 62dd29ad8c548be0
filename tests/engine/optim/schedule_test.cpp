#include "engine/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace birkhoff {
namespace {

OptimConfig with(LrSchedule schedule, int64_t warmup) {
  OptimConfig o;
  o.lr = 8.6e-4;
  o.schedule = schedule;
  o.warmup_steps = warmup;
  return o;
}

// arXiv 2512.24880, Table 5, 3B: 30000 steps, 2000 of them warm-up.
TEST(LearningRate, ThePapersStepScheduleWithItsJoints) {
  const OptimConfig o = with(LrSchedule::step, 2000);
  const auto at = [&](int64_t step) { return learning_rate(o, 30000, step); };
  EXPECT_EQ(at(1), 8.6e-4 * (1.0 / 2000));
  EXPECT_EQ(at(1000), 4.3e-4);
  EXPECT_LT(at(1999), 8.6e-4);
  EXPECT_EQ(at(2000), 8.6e-4);
  EXPECT_EQ(at(2001), 8.6e-4);
  EXPECT_EQ(at(24000), 8.6e-4);
  EXPECT_EQ(at(24001), 8.6e-4 * 0.316);
  EXPECT_EQ(at(27000), 8.6e-4 * 0.316);
  EXPECT_EQ(at(27001), 8.6e-4 * 0.1);
  EXPECT_EQ(at(30000), 8.6e-4 * 0.1);
  EXPECT_EQ(at(40000), 8.6e-4 * 0.1);
}

// Fractions whose product with the total is not the integer in floating point.
TEST(LearningRate, JointsOfAwkwardFractions) {
  OptimConfig o = with(LrSchedule::step, 0);
  o.lr = 1;
  o.step_factors = {0.5};
  struct Joint {
    double point;
    int64_t total, last;
  };
  for (const Joint& j :
       {Joint{0.29, 100, 29}, {0.57, 100, 57}, {0.7, 10, 7}, {0.1, 3, 0}, {0.9, 5, 5}}) {
    o.step_points = {j.point};
    for (int64_t step = 1; step <= j.total; ++step)
      EXPECT_EQ(learning_rate(o, j.total, step), step <= j.last ? 1 : 0.5)
          << j.point << " " << step;
  }
  o.step_points = o.step_factors = {};
  EXPECT_EQ(learning_rate(o, 10, 10), 1);
}

TEST(LearningRate, Constant) {
  const OptimConfig o = with(LrSchedule::constant, 4);
  const double expected[] = {8.6e-4 * 0.25, 8.6e-4 * 0.5, 8.6e-4 * 0.75, 8.6e-4, 8.6e-4, 8.6e-4};
  for (int64_t step = 1; step <= 6; ++step)
    EXPECT_EQ(learning_rate(o, 6, step), expected[step - 1]);
}

TEST(LearningRate, CosineAtKnownAngles) {
  OptimConfig o = with(LrSchedule::cosine, 100);
  o.lr = 1;
  o.min_lr_fraction = 0.1;
  const auto at = [&](int64_t step) { return learning_rate(o, 1300, step); };
  EXPECT_EQ(at(50), 0.5);
  EXPECT_EQ(at(100), 1);
  // Angles of 60, 90, 120 degrees; the bound is a few roundings of numbers up to 1.
  EXPECT_NEAR(at(500), 0.1 + 0.9 * 0.75, 1e-15);
  EXPECT_NEAR(at(700), 0.1 + 0.9 * 0.5, 1e-15);
  EXPECT_NEAR(at(900), 0.1 + 0.9 * 0.25, 1e-15);
  EXPECT_EQ(at(1300), 0.1);
  EXPECT_EQ(at(1301), 0.1);
  for (int64_t step = 101; step <= 1300; ++step) EXPECT_LT(at(step), at(step - 1)) << step;
}

TEST(LearningRate, WarmupStableDecay) {
  OptimConfig o = with(LrSchedule::wsd, 10);
  o.lr = 2;
  o.min_lr_fraction = 0.25;
  o.decay_fraction = 0.2;
  const auto at = [&](int64_t step) { return learning_rate(o, 100, step); };
  EXPECT_EQ(at(5), 1);
  EXPECT_EQ(at(10), 2);
  EXPECT_EQ(at(11), 2);
  EXPECT_EQ(at(80), 2);
  EXPECT_DOUBLE_EQ(at(81), 2 * (1 - 0.75 / 20));
  EXPECT_DOUBLE_EQ(at(90), 2 * (1 - 0.75 / 2));
  EXPECT_EQ(at(100), 0.5);
  o.warmup_steps = 90;  // the decay is what remains
  EXPECT_EQ(at(90), 2);
  EXPECT_DOUBLE_EQ(at(95), 2 * (1 - 0.75 / 2));
  EXPECT_EQ(at(100), 0.5);
  o.warmup_steps = 10;
  o.decay_fraction = 0;
  EXPECT_EQ(at(100), 2);
}

TEST(LearningRate, ARunShorterThanItsWarmUpOnlyRises) {
  for (const LrSchedule schedule :
       {LrSchedule::step, LrSchedule::cosine, LrSchedule::constant, LrSchedule::wsd}) {
    const OptimConfig o = with(schedule, 2000);
    for (const int64_t step : {1, 7, 10})
      EXPECT_EQ(learning_rate(o, 10, step), 8.6e-4 * (static_cast<double>(step) / 2000));
    EXPECT_EQ(learning_rate(with(schedule, 10), 10, 10), 8.6e-4);
  }
}

TEST(LearningRate, IsFiniteForEveryScheduleOfAShortRun) {
  for (const LrSchedule schedule :
       {LrSchedule::step, LrSchedule::cosine, LrSchedule::constant, LrSchedule::wsd})
    for (int64_t total = 1; total <= 7; ++total)
      for (int64_t warmup = 0; warmup <= 8; ++warmup)
        for (int64_t step = 1; step <= total; ++step) {
          const double lr = learning_rate(with(schedule, warmup), total, step);
          EXPECT_TRUE(std::isfinite(lr) && lr > 0 && lr <= 8.6e-4) << total << warmup << step;
        }
}

TEST(LearningRate, StepsCountFromOne) {
  EXPECT_THROW(learning_rate(OptimConfig(), 10, 0), InternalError);
  EXPECT_THROW(learning_rate(OptimConfig(), 0, 1), InternalError);
}

}  // namespace
}  // namespace birkhoff
