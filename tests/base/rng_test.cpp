#include "base/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace birkhoff {
namespace {

// Known answers from the authors' Random123 library (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The normal value inverts the distribution function at the 24 upper bits drawn: Giles's erfinv has
// an error of 3 ulp in single precision, so Φ of the value matches to a few 1e-7.
TEST(Random, NormalInvertsTheDistributionFunction) {
  const Random random(5, "normal");
  double worst = 0, sum = 0, squares = 0;
  const int count = 200000;
  for (uint64_t i = 0; i < count; ++i) {
    const double u = (double(random.bits(i) >> 40) + 0.5) * 0x1p-24;
    const double x = double(random.normal(i));
    worst = std::max(worst, std::abs(0.5 * std::erfc(-x / std::sqrt(2.0)) - u));
    sum += x, squares += x * x;
  }
  EXPECT_LT(worst, 1e-6);
  // Standard errors are 1/sqrt(count) and sqrt(2/count); the bounds are four of each.
  EXPECT_NEAR(sum / count, 0, 4 / std::sqrt(double(count)));
  EXPECT_NEAR(squares / count, 1, 4 * std::sqrt(2.0 / count));
}

TEST(Random, StreamsAndSeedsDiffer) {
  std::set<uint64_t> seen;
  for (const uint64_t seed : {0, 1, 2})
    for (const char* stream : {"a", "b", ""})
      for (uint64_t i = 0; i < 100; ++i) seen.insert(Random(seed, stream).bits(i));
  EXPECT_EQ(seen.size(), 900u);
}

TEST(Random, UniformAndBelowStayInside) {
  const Random random(1, "u");
  for (uint64_t i = 0; i < 10000; ++i) {
    EXPECT_GT(random.uniform(i), 0);
    EXPECT_LT(random.uniform(i), 1);
    EXPECT_LT(random.below(i, 7), 7u);
  }
  EXPECT_EQ(random.below(3, 1), 0u);
}

}  // namespace
}  // namespace birkhoff
