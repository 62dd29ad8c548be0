// How the parameters of HC begin, and which of them decay: known values.
#include <gtest/gtest.h>

#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

struct Begun {
  std::vector<float> values;
  Decay decay;
};

std::map<std::string, Begun> parameters_of(const Config& c) {
  Program p;
  trace_training(p, c);
  std::map<std::string, Begun> all;
  for (const auto& [id, spec] : p.parameters)
    for (const Part& part : parts_of(spec)) {
      if (part.name.find("_hc.") == std::string::npos) continue;
      std::vector<float> values(size_t(count(part.shape)));
      initialise(part, 1, values);
      all[part.name] = {values, spec.decay};
    }
  return all;
}

// Sublayer k of the whole model starts with its H_pre on residual stream k mod n alone.
TEST(HcResidual, BPreTurnsThroughTheStreamsOfTheWholeModel) {
  for (const size_t n : {1, 3, 4, 5}) {
    Config c = small_config();
    c.model.residual = ResidualKind::hc, c.model.streams = int64_t(n), c.model.layers = 5;
    const auto all = parameters_of(c);
    for (size_t k = 0; k < 10; ++k) {
      const std::string name =
          fmt::format("model.layers.{}.{}_hc.b_pre", k / 2, k % 2 ? "ffn" : "attn");
      std::vector<float> want(n, 0);
      want[k % n] = 1;
      EXPECT_EQ(all.at(name).values, want) << name << " of " << n;
    }
  }
}

// H_post = 1 and H_res = I: the plain residual. theta decays as phi does, the rest does not.
TEST(HcResidual, BeginsAsThePlainResidual) {
  Config c = small_config();
  c.model.residual = ResidualKind::hc, c.model.streams = 3, c.model.alpha_init = 0.25;
  const auto all = parameters_of(c);
  EXPECT_EQ(all.size(), size_t(2 * c.model.layers) * 7);
  const std::vector<float> identity = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  const size_t dim = size_t(c.model.dim);
  for (const auto& [name, want, decay] :
       {std::tuple{"b_post", std::vector<float>(3, 1), Decay::fixed},
        {"b_pre", {0, 1, 0}, Decay::fixed},
        {"b_res", identity, Decay::fixed},
        {"alpha", std::vector<float>(3, 0.25), Decay::fixed},
        {"theta_pre", std::vector<float>(dim), Decay::phi},
        {"theta_post", std::vector<float>(dim), Decay::phi},
        {"theta_res", std::vector<float>(3 * dim), Decay::phi}}) {
    const Begun& got = all.at(std::string("model.layers.0.ffn_hc.") + name);
    EXPECT_EQ(got.values, want) << name;
    EXPECT_EQ(got.decay, decay) << name;
  }
}

TEST(HcResidual, StaticHasItsBiasesAlone) {
  Config c = small_config();
  c.model.residual = ResidualKind::hc, c.model.hc = HcKind::fixed;
  const auto all = parameters_of(c);
  EXPECT_EQ(all.size(), size_t(2 * c.model.layers) * 3);
  for (const auto& [name, begun] : all) EXPECT_NE(name.find("_hc.b_"), std::string::npos) << name;
}

}  // namespace
}  // namespace birkhoff::testing
