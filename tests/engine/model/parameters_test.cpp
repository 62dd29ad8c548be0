#include <gtest/gtest.h>

#include <tuple>

#include "engine/config/load.h"
#include "engine/model/model.h"

namespace birkhoff {
namespace {

struct Count {
  const char* config;
  int64_t total, active;
  double mhc_millions;
};

// arXiv 2512.24880, Table 5, to the last parameter.
TEST(ParameterCounts, AreThePapers) {
  for (const Count& want :
       {Count{"3b", 2972931976, 612325256, 2.95}, Count{"9b", 9178455372, 1660656972, 6.64},
        Count{"27b", 27048293460, 4138873940, 14.75}}) {
    const Config c =
        load_config(std::string(BIRKHOFF_SOURCE_DIR "/configs/") + want.config + ".yaml", {});
    const ParameterCount got = count_parameters(c);
    EXPECT_EQ(got.total, want.total) << want.config;
    EXPECT_EQ(got.active, want.active) << want.config;
    EXPECT_NEAR(double(got.hyper_connections) / 1e6, want.mhc_millions, 0.005) << want.config;
  }
}

// DeepSeek-V3: 671B in all, and 36.6B per token, the head's 0.9B among them (the README of its
// weights). What queries through a latent save, exact to the last parameter: 61 layers of
// 7168·24576 − (7168·1536 + 1536 + 1536·24576).
TEST(ParameterCounts, OfDeepSeekV3) {
  Config c;
  c.model.vocab = 129280, c.model.dim = 7168, c.model.layers = 61, c.model.dense_layers = 3;
  c.model.heads = 128, c.model.nope_dim = 128, c.model.rope_dim = 64, c.model.v_dim = 128;
  c.model.kv_rank = 512, c.model.q_rank = 1536, c.model.dense_ffn_dim = 18432;
  c.model.residual = ResidualKind::plain;
  c.moe.experts = 256, c.moe.active = 8, c.moe.shared = 1, c.moe.expert_dim = 2048;
  const ParameterCount latent = count_parameters(c);
  EXPECT_NEAR(double(latent.total) / 1e9, 671.0, 0.05);
  EXPECT_NEAR(double(latent.active) / 1e9, 36.6, 0.05);
  c.model.q_rank = 0;
  const int64_t direct = 7168 * 24576, narrow = 7168 * 1536 + 1536 + 1536 * 24576;
  EXPECT_EQ(count_parameters(c).total - latent.total, 61 * (direct - narrow));
}

ParameterCount count_of(const std::string& config, const std::vector<std::string>& overrides) {
  const std::string path = BIRKHOFF_SOURCE_DIR "/configs/" + config + ".yaml";
  return count_parameters(load_config(path, overrides));
}

// Per sublayer (n + 2)·C of theta, 3 of alpha, n² + 2n of b; the rest is the plain model's.
TEST(ParameterCounts, OfHyperConnections) {
  for (const auto& [name, sublayers, dim] :
       {std::tuple{"3b", 24, 1280}, {"9b", 36, 1920}, {"27b", 60, 2560}, {"3b-1t", 24, 1280}}) {
    const std::string config = name;
    const ParameterCount plain = count_of(config + "-plain", {}),
                         dynamic = count_of(config + "-hc", {}),
                         fixed = count_of(config + "-hc", {"model.hc=static"});
    EXPECT_EQ(plain.hyper_connections, 0);
    EXPECT_EQ(dynamic.hyper_connections, sublayers * (6 * dim + 3 + 24)) << name;
    EXPECT_EQ(fixed.hyper_connections, sublayers * 24) << name;
    for (const ParameterCount& hc : {dynamic, fixed}) {
      EXPECT_EQ(hc.total, plain.total + hc.hyper_connections) << name;
      EXPECT_EQ(hc.active, plain.active + hc.hyper_connections) << name;
    }
  }
}

}  // namespace
}  // namespace birkhoff
