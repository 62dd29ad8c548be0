// What must not change a bit, and what may change by rounding alone.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/train/import_model.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

Config mhc_config() {
  Config c = small_config();
  c.model.residual = ResidualKind::mhc;
  return c;
}

TEST(Recompute, IsBitEqual) {
  Config c = mhc_config();
  ModelRun saved(c);
  const double loss = saved.step();
  EXPECT_TRUE(std::isfinite(loss));
  for (const int64_t block : {int64_t(1), int64_t(2), int64_t(4), kRecomputeAuto}) {
    c.train.recompute = block;
    ModelRun again(c);
    EXPECT_EQ(again.step(), loss);
    EXPECT_EQ(again.gradients(), saved.gradients()) << "block " << block;
  }
}

TEST(Recompute, NeedsLessMemory) {
  Config c = mhc_config();
  c.model.layers = 8, c.model.streams = 4, c.train.sequence = 64;
  ModelRun saved(c);
  c.train.recompute = kRecomputeAuto;
  ModelRun again(c);
  EXPECT_LT(again.executor->plan().bytes(Arena::activations),
            saved.executor->plan().bytes(Arena::activations));
}

TEST(Threads, DoNotChangeABit) {
  Config c = mhc_config();
  c.train.sequence = 33;
  ModelRun one(c);
  const double loss = one.step();
  for (const int threads : {2, 3}) {
    ModelRun more(c, {.threads = threads});
    EXPECT_EQ(more.step(), loss);
    EXPECT_EQ(more.gradients(), one.gradients()) << threads << " threads";
  }
}

TEST(Poison, ChangesNothing) {
  ModelRun poisoned(mhc_config()), plain(mhc_config(), {.poison = false});
  EXPECT_EQ(poisoned.step(), plain.step());
  EXPECT_EQ(poisoned.gradients(), plain.gradients());
}

// Some gradients are 0 by structure: equal streams make b_pre and b_res of the first sublayer act
// on nothing, the sum read-out does so to b_res of the last. What is computed there is the rounding
// of terms that cancel, so a tensor's error is measured against no less than 1 % of the whole
// gradient.
void expect_near(const Tensors& got, const Tensors& want, double tolerance) {
  double whole = 0;
  for (const auto& [name, tensor] : want)
    for (const double x : tensor) whole += x * x;
  for (const auto& [name, tensor] : want) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < tensor.size(); ++i) {
      error += std::pow(got.at(name)[i] - tensor[i], 2);
      norm += tensor[i] * tensor[i];
    }
    EXPECT_LE(std::sqrt(error), tolerance * std::max(std::sqrt(norm), 0.01 * std::sqrt(whole)))
        << name;
  }
}

TEST(MicroBatches, AddUp) {
  ModelRun one(mhc_config()), three(mhc_config(), {.micro_batches = 3});
  EXPECT_NEAR(three.step(), one.step(), 1e-6);
  expect_near(three.gradients(), one.gradients(), 1e-5);
}

TEST(Steps, Repeat) {
  ModelRun run(mhc_config());
  const double loss = run.step();
  const Tensors gradients = run.gradients();
  EXPECT_EQ(run.step(), loss);
  EXPECT_EQ(run.gradients(), gradients);
}

// 10 tokens × 2 active = 20 rows: capacities 30, 10 and 4 give 1, 2 and 5 rounds.
TEST(Rounds, GiveTheSameOutputs) {
  Config c = mhc_config();
  ModelRun one(c);
  const double loss = one.step();
  for (const double factor : {0.5, 0.2}) {
    c.moe.buffer_factor = factor;
    ModelRun more(c);
    EXPECT_EQ(more.step(), loss) << factor;
    expect_near(more.gradients(), one.gradients(), 1e-5);
  }
}

TEST(Devices, Agree) {
  ModelRun cpu(mhc_config()),
      oracle(mhc_config(), {.dtype = DType::f64, .device = Device::reference});
  // 6 sublayers of sums over ≤ 24 terms in f32: some hundred epsilons.
  EXPECT_NEAR(cpu.step(), oracle.step(), 3e-5);
  expect_near(cpu.gradients(), oracle.gradients(), 1e-4);
}

// A plain model that gains streams as birkhoff import does it, with an eps that counts: the same
// loss and the same gradient of every ordinary parameter. In f64, so that nothing but rounding of
// 1e-16 is allowed for; Sinkhorn's 20 iterations leave rows that sum to 1 exactly.
TEST(Streams, GainedByAPlainModelLeaveLossAndGradientsAsTheyWere) {
  const ModelRunOptions in_f64{.dtype = DType::f64, .device = Device::reference};
  for (const int64_t n : {2, 4}) {
    Config c = small_config();
    c.model.norm_eps = 0.1;
    c.model.residual = ResidualKind::plain;
    ModelRun plain(c, in_f64);
    c.model.residual = ResidualKind::mhc, c.model.streams = n;
    c.model.readout = ReadoutKind::mean;
    ModelRun mhc(c, in_f64);
    for (const auto& [id, spec] : mhc.program.parameters)
      for (Part part : parts_of(spec)) {
        if (part.name.find("_hc.") == part.name.npos) continue;
        if (part.name.ends_with(".b_pre")) part.init.peak = home_logit(n, part.init.value);
        std::vector<float> values(size_t(count(part.shape)));
        initialise(part, 1, values);
        for (size_t i = 0; i < values.size(); ++i) {
          const bool home = part.name.ends_with(".b_pre") && int64_t(i) == part.init.index;
          mhc.set_parameter(part.name, int64_t(i), home ? part.init.peak : double(values[i]));
        }
      }
    EXPECT_NEAR(mhc.step(), plain.step(), 1e-13) << n;
    const Tensors with_streams = mhc.gradients();
    for (const auto& [name, gradient] : plain.gradients())
      EXPECT_LT(relative_difference(with_streams.at(name), gradient), 1e-11) << n << " " << name;
  }
}

}  // namespace
}  // namespace birkhoff::testing
