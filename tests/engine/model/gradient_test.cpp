// The whole model's gradient, in f64 on the reference device, against central differences: plain,
// hc and mhc, dense and MoE, with and without recompute, in one round and in several, with queries
// through a latent and yarn.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

struct Case {
  const char* name;
  ResidualKind residual;
  int64_t recompute;
  double buffer_factor;
  ReadoutKind readout = ReadoutKind::sum;
  HcKind hc = HcKind::dynamic;
  bool latent_and_yarn = false;
};

class ModelGradient : public ::testing::TestWithParam<Case> {
 protected:
  static Config config() {
    Config c = small_config();
    c.model.residual = GetParam().residual;
    c.model.readout = GetParam().readout;
    c.model.hc = GetParam().hc;
    c.train.recompute = GetParam().recompute;
    c.moe.buffer_factor = GetParam().buffer_factor;
    c.parallel.ep = 2;  // traced as for two ranks: in rounds
    if (GetParam().latent_and_yarn) {
      c.model.q_rank = 3, c.model.rope_dim = 6, c.model.rope_theta = 100;
      c.model.rope_scaling = RopeScaling::yarn;
      c.model.rope_factor = 8, c.model.rope_original_positions = 64;
      c.model.rope_mscale = 1, c.model.rope_mscale_all_dim = 0.5;
    }
    return c;
  }
};

TEST_P(ModelGradient, EqualsCentralDifferences) {
  ModelRun run(config(), {.dtype = DType::f64, .device = Device::reference});
  run.step();
  const Tensors gradients = run.gradients(), parameters = run.parameters();
  const double h = 1e-5;
  for (const auto& [name, gradient] : gradients) {
    double scale = 0;
    for (const double g : gradient) scale = std::max(scale, std::abs(g));
    const size_t step = 1 + gradient.size() / 3;
    for (size_t i = 0; i < gradient.size(); i += step) {
      const double x = parameters.at(name)[i];
      run.set_parameter(name, int64_t(i), x + h);
      const double up = run.step();
      run.set_parameter(name, int64_t(i), x - h);
      const double down = run.step();
      run.set_parameter(name, int64_t(i), x);
      // Truncation h²·f'''/6 and rounding 1e-16·loss/h: both near 1e-10.
      EXPECT_NEAR(gradient[i], (up - down) / (2 * h), 1e-9 + 1e-6 * scale) << name << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ModelGradient,
    ::testing::Values(Case{"plain", ResidualKind::plain, 0, 1.5},
                      Case{"mhc", ResidualKind::mhc, 0, 1.5},
                      Case{"mhc_recompute", ResidualKind::mhc, 2, 1.5},
                      Case{"mhc_rounds", ResidualKind::mhc, 0, 0.45},
                      Case{"plain_rounds_recompute", ResidualKind::plain, 3, 0.2},
                      Case{"mhc_learned", ResidualKind::mhc, 0, 1.5, ReadoutKind::learned},
                      Case{"hc", ResidualKind::hc, 0, 1.5},
                      Case{"hc_recompute", ResidualKind::hc, 3, 1.5},
                      Case{"hc_learned", ResidualKind::hc, 0, 1.5, ReadoutKind::learned},
                      Case{"hc_static", ResidualKind::hc, 0, 1.5, ReadoutKind::sum, HcKind::fixed},
                      Case{"mhc_mean", ResidualKind::mhc, 0, 1.5, ReadoutKind::mean},
                      Case{"plain_latent_yarn", ResidualKind::plain, 0, 1.5, ReadoutKind::sum,
                           HcKind::dynamic, true}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace birkhoff::testing
