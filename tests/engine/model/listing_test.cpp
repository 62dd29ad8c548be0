// Listings of small programs are golden files: reading them finds what passing tests do not (memory
// saved for nothing, a value computed twice). After an intended change, set
// BIRKHOFF_UPDATE_GOLDENS=1 and read the diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "engine/optim/optimizer.h"
#include "engine/plan/listing.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

std::string listing_of(ResidualKind residual, int64_t recompute) {
  Config c = small_config();
  c.model.residual = residual;
  c.model.layers = 2;
  c.train.recompute = recompute;
  Program p;
  differentiate(p, trace_training(p, c).loss);
  trace_update(p, c);
  return listing(p);
}

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(BIRKHOFF_SOURCE_DIR "/tests/golden/") + name;
  if (std::getenv("BIRKHOFF_UPDATE_GOLDENS")) std::ofstream(path) << text;
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str()) << name << " differs";
}

TEST(Listing, Plain) { expect_golden("plain.listing", listing_of(ResidualKind::plain, 0)); }
TEST(Listing, Hc) { expect_golden("hc.listing", listing_of(ResidualKind::hc, 0)); }
TEST(Listing, Mhc) { expect_golden("mhc.listing", listing_of(ResidualKind::mhc, 0)); }
TEST(Listing, MhcRecomputed) {
  expect_golden("mhc_recompute.listing", listing_of(ResidualKind::mhc, 2));
}

}  // namespace
}  // namespace birkhoff::testing
