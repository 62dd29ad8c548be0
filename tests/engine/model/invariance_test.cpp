// What must not change a bit, and what may change only by rounding.
#include <gtest/gtest.h>

#include <cmath>

#include "base/format.h"
#include "engine/config/choices.h"
#include "engine/train/import_model.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

Config mhc_config() {
  Config c = small_config();
  c.model.residual = ResidualKind::mhc;
  return c;
}

// A config of every residual that has residual streams.
std::vector<Config> stream_configs() {
  std::vector<Config> all = {mhc_config(), mhc_config(), mhc_config()};
  all[1].model.residual = all[2].model.residual = ResidualKind::hc;
  all[2].model.hc = HcKind::fixed;
  return all;
}
std::string kind_of(const Config& c) {
  return fmt::format("{} {}", name(c.model.residual), name(c.model.hc));
}

// What is bitwise identical is so in either precision of activations.
class Bits : public ::testing::TestWithParam<DType> {
 protected:
  static ModelRunOptions options() { return {.dtype = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Precision, Bits, ::testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST_P(Bits, OfRecomputedValuesAreEqual) {
  for (Config c : stream_configs()) {
    ModelRun saved(c, options());
    const double loss = saved.step();
    EXPECT_TRUE(std::isfinite(loss));
    for (const int64_t block : {int64_t(1), int64_t(2), int64_t(4), kRecomputeAuto}) {
      c.train.recompute = block;
      ModelRun again(c, options());
      EXPECT_EQ(again.step(), loss);
      EXPECT_EQ(again.gradients(), saved.gradients()) << kind_of(c) << " block " << block;
    }
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

TEST_P(Bits, DoNotDependOnThreads) {
  for (Config c : stream_configs()) {
    c.train.sequence = 33;
    ModelRun one(c, options());
    const double loss = one.step();
    for (const int threads : {2, 3}) {
      ModelRun more(c, {.dtype = GetParam(), .threads = threads});
      EXPECT_EQ(more.step(), loss);
      EXPECT_EQ(more.gradients(), one.gradients()) << kind_of(c) << " " << threads << " threads";
    }
  }
}

TEST_P(Bits, AreNotThoseOfDeadMemory) {
  ModelRun poisoned(mhc_config(), options());
  ModelRun plain(mhc_config(), {.dtype = GetParam(), .poison = false});
  EXPECT_EQ(poisoned.step(), plain.step());
  EXPECT_EQ(poisoned.gradients(), plain.gradients());
}

// Some gradients are 0 by structure: while the residual streams are equal, b_pre and b_res of the
// first sublayer have no effect, and with the sum as read-out neither has b_res of the last. What
// is computed there is the rounding of terms that cancel, so a tensor's error is compared with no
// less than 1 % of the whole gradient.
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

TEST_P(Bits, RepeatInTheNextStep) {
  ModelRun run(mhc_config(), options());
  const double loss = run.step();
  const Tensors gradients = run.gradients();
  EXPECT_EQ(run.step(), loss);
  EXPECT_EQ(run.gradients(), gradients);
}

// 10 tokens × 2 active = 20 rows: capacities 20, 10 and 4 give 1, 2 and 5 rounds.
TEST_P(Bits, OfOutputsDoNotDependOnRounds) {
  Config c = mhc_config();
  ModelRun one(c, options());
  const double loss = one.step();
  for (const double factor : {0.5, 0.2}) {
    c.moe.buffer_factor = factor;
    c.parallel.ep = 2;  // traced as for two ranks: in rounds
    ModelRun more(c, options());
    EXPECT_EQ(more.step(), loss) << factor;
    expect_near(more.gradients(), one.gradients(), 1e-5);
  }
}

TEST(Devices, Agree) {
  for (const Config& c : stream_configs()) {
    SCOPED_TRACE(kind_of(c));
    ModelRun cpu(c), oracle(c, {.dtype = DType::f64, .device = Device::reference});
    // 6 sublayers of sums over ≤ 24 terms in f32: some hundred epsilons.
    EXPECT_NEAR(cpu.step(), oracle.step(), 3e-5);
    expect_near(cpu.gradients(), oracle.gradients(), 1e-4);
  }
}

// A plain model that gains residual streams as birkhoff import does it, with an eps that matters:
// the same loss and the same gradient of every ordinary parameter. In f64, so that only rounding of
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
