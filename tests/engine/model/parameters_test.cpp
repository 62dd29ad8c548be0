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
