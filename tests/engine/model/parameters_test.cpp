#include <gtest/gtest.h>

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
    EXPECT_NEAR(double(got.mhc) / 1e6, want.mhc_millions, 0.005) << want.config;
  }
}

}  // namespace
}  // namespace birkhoff
