// A model with bf16 activations against the same model in fp64.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/features.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

struct Case {
  const char* name;
  ResidualKind residual;
  int64_t recompute = 0;
  double buffer_factor = 1.5;
  ReadoutKind readout = ReadoutKind::sum;
};

class Bf16 : public ::testing::TestWithParam<Case> {
 protected:
  static Config config() {
    Config c = small_config();
    c.model.residual = GetParam().residual, c.model.readout = GetParam().readout;
    c.train.recompute = GetParam().recompute, c.moe.buffer_factor = GetParam().buffer_factor;
    if (c.moe.buffer_factor < 1) c.parallel.ep = 2;  // traced as for two ranks: in rounds
    c.train.sequence = 24;
    c.moe.active = c.moe.experts;  // so that no choice can flip, which is no rounding
    return c;
  }
};

// ‖got − want‖ / ‖want‖, over all gradients together.
double distance(const Tensors& got, const Tensors& want) {
  double error = 0, norm = 0;
  for (const auto& [name, tensor] : want)
    for (size_t i = 0; i < tensor.size(); ++i)
      error += std::pow(got.at(name)[i] - tensor[i], 2), norm += tensor[i] * tensor[i];
  return std::sqrt(error / norm);
}

// The reference bodies compute in fp64 and round where the contracts say, so that their error is
// the cost of those roundings. With R roundings of relative size 2^-9 on average between the
// embedding and a gradient, that is about 2^-9·√R; R is 15 per sublayer, forward and again
// backward: 6 sublayers make it 2.6 %, and a gradient that is small by cancellation has more
// (measured: 3 to 5 % of the whole).
//
// The vector bodies round at the same places, but their sums are f32: now and then a rounding goes
// the other way, and all roundings after it are drawn anew. If all of them were drawn anew, the two
// results would be √2 errors apart, and an error of some 10^4 roundings of its own would have the
// same norm to a few percent, if they were of one size. The body's own test finds a rounding too
// many in one body.
//
// Where products are of pairs of bf16, attention rounds p and ds as factors: each rounding is about
// as large as that of o or of the gradient that follows, 3 more per layer besides its 30. After the
// first of them no rounding is the oracle's, so that for the loss two draws are compared, not one
// draw with few changes.
TEST_P(Bf16, ErrorIsThatOfItsRoundings) {
  const double spread = 0.2;  // gains near 1, so that errors add up and do not multiply
  ModelRun exact(config(), {.dtype = DType::f64, .device = Device::reference, .spread = spread});
  ModelRun oracle(config(), {.dtype = DType::bf16, .device = Device::reference, .spread = spread});
  const double loss = exact.step(), oracle_off = oracle.step() - loss;
  const double error = distance(oracle.gradients(), exact.gradients());
  EXPECT_LE(error, 0.1);
  EXPECT_GE(error, 1e-3);  // otherwise nothing was rounded
  for (const bool pairs : {false, true}) {
    SCOPED_TRACE(pairs ? "pairs of bf16" : "vectors of f32");
    pretend_features(pairs ? std::nullopt : std::optional(Features()));
    ModelRun cpu(config(), {.dtype = DType::bf16, .spread = spread});
    const double off = cpu.step() - loss;
    EXPECT_LE(std::abs(off), 2e-3 * loss);
    if (!pairs) {
      EXPECT_LE(std::abs(off - oracle_off), 2e-4 * loss);
    }
    EXPECT_LE(distance(cpu.gradients(), exact.gradients()), 1.25 * error);
    EXPECT_LE(distance(cpu.gradients(), oracle.gradients()), std::sqrt(2.0) * error);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Bf16,
    ::testing::Values(Case{"plain", ResidualKind::plain}, Case{"mhc", ResidualKind::mhc},
                      Case{"hc", ResidualKind::hc}, Case{"mhc_recompute", ResidualKind::mhc, 2},
                      Case{"mhc_rounds", ResidualKind::mhc, 0, 0.45},
                      Case{"mhc_learned", ResidualKind::mhc, 0, 1.5, ReadoutKind::learned}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace birkhoff::testing
