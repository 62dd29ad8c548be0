// How mHC's parameters begin: known values.
#include <gtest/gtest.h>

#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

// Sublayer k of the whole model starts with its H_pre on residual stream k mod n: if k were counted
// inside a block, all but two residual streams would stay equal.
TEST(MhcResidual, BPreTurnsThroughTheStreamsOfTheWholeModel) {
  for (const int64_t n : {1, 3, 4, 5}) {
    Config c = small_config();
    c.model.residual = ResidualKind::mhc, c.model.streams = n, c.model.layers = 5;
    Program p;
    trace_training(p, c);
    int64_t found = 0;
    for (const auto& [id, spec] : p.parameters)
      for (const Part& part : parts_of(spec)) {
        if (!part.name.ends_with("_hc.b_pre")) continue;
        ++found;
        const int64_t layer = part.name[std::string("model.layers.").size()] - '0';
        const int64_t k = 2 * layer + (part.name.find(".ffn_hc.") != std::string::npos);
        std::vector<float> want(size_t(n), -3), got(size_t(n), 0);
        want[size_t(k % n)] = 3;
        initialise(part, 1, got);
        EXPECT_EQ(got, want) << part.name << " of " << n;
      }
    EXPECT_EQ(found, 2 * c.model.layers);
  }
}

}  // namespace
}  // namespace birkhoff::testing
