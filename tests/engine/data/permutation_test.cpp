#include "engine/data/permutation.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "base/error.h"

namespace birkhoff {
namespace {

std::vector<uint64_t> order(const Permutation& permutation) {
  std::vector<uint64_t> all;
  for (uint64_t i = 0; i < permutation.size(); ++i) all.push_back(permutation(i));
  return all;
}

TEST(Permutation, IsABijection) {
  std::vector<uint64_t> sizes = {127, 128, 129, 997, 1000, 1023, 1024, 1025, 4096, 4097, 65537};
  for (uint64_t n = 1; n <= 70; ++n) sizes.push_back(n);
  for (const uint64_t n : sizes) {
    std::vector<bool> seen(n);
    for (const uint64_t i : order(Permutation(n, "test", 3, n))) {
      ASSERT_LT(i, n);
      ASSERT_FALSE(seen[i]) << i << " twice of " << n;
      seen[i] = true;
    }
  }
}

TEST(Permutation, LargeSizesStayInRange) {
  for (const uint64_t n : {uint64_t(1) << 40, (uint64_t(1) << 40) + 1, (uint64_t(1) << 62) - 1}) {
    const Permutation permutation(1, "test", 0, n);
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < 2000; ++i) {
      EXPECT_LT(permutation(i), n);
      EXPECT_TRUE(seen.insert(permutation(n - 1 - i)).second);
    }
  }
  EXPECT_THROW(Permutation(1, "test", 0, 5)(5), InternalError);
  EXPECT_THROW(Permutation(1, "test", 0, 0), InternalError);
}

TEST(Permutation, DependsOnSeedStreamAndEpoch) {
  const auto base = order(Permutation(1, "a", 0, 100));
  EXPECT_EQ(base, order(Permutation(1, "a", 0, 100)));
  EXPECT_NE(base, order(Permutation(2, "a", 0, 100)));
  EXPECT_NE(base, order(Permutation(uint64_t(1) << 32 | 1, "a", 0, 100)));
  EXPECT_NE(base, order(Permutation(1, "b", 0, 100)));
  EXPECT_NE(base, order(Permutation(1, "a", 1, 100)));
  EXPECT_NE(base, order(Permutation(1, "a", uint64_t(1) << 32, 100)));
}

// All 24 orders of four elements over 4,800 epochs, 200 expected of each. χ² with 23 degrees of
// freedom has mean 23 and standard deviation √46 = 6.8; 65 is more than six of them away.
TEST(Permutation, OrdersAreEquallyLikely) {
  std::map<std::vector<uint64_t>, int> count;
  for (uint64_t epoch = 0; epoch < 4800; ++epoch) ++count[order(Permutation(5, "test", epoch, 4))];
  double chi2 = 0;
  for (const auto& [_, n] : count) chi2 += (n - 200.0) * (n - 200.0) / 200;
  EXPECT_EQ(count.size(), 24u);
  EXPECT_LT(chi2, 65);
}

// Where element 0 of 101 goes over 20,200 epochs: 200 expected at each place; χ² with 100 degrees
// of freedom has standard deviation √200 = 14.1, so 190 is more than six away.
TEST(Permutation, PlacesAreEquallyLikely) {
  std::vector<int> count(101);
  for (uint64_t epoch = 0; epoch < 20200; ++epoch) ++count[Permutation(9, "test", epoch, 101)(0)];
  double chi2 = 0;
  for (const int n : count) chi2 += (n - 200.0) * (n - 200.0) / 200;
  EXPECT_LT(chi2, 190);
}

}  // namespace
}  // namespace birkhoff
