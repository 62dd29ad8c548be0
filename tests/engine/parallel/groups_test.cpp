#include "engine/parallel/groups.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace birkhoff::testing {
namespace {

TEST(PartOf, CutsWithoutGapsInPartsThatDifferByOne) {
  for (const int64_t count : {0, 1, 2, 7, 16, 97})
    for (const int64_t parts : {1, 2, 3, 5, 16, 101}) {
      int64_t at = 0;
      for (int64_t i = 0; i < parts; ++i) {
        const Range r = part_of(count, parts, i);
        EXPECT_EQ(r.begin, at);
        EXPECT_TRUE(r.size() == count / parts || r.size() == count / parts + 1);
        at = r.end;
      }
      EXPECT_EQ(at, count);
    }
}

// The definition: a node is the sum of its children, as far as they cover anything.
std::string tree(int64_t leaves, int level, int64_t index) {
  if ((index << level) >= leaves) return "";
  if (level == 0) return std::to_string(index);
  const std::string left = tree(leaves, level - 1, 2 * index);
  const std::string right = tree(leaves, level - 1, 2 * index + 1);
  return right.empty() ? left : "(" + left + "+" + right + ")";
}
std::string whole_tree(int64_t leaves) {
  int level = 0;
  while ((int64_t(1) << level) < leaves) ++level;
  return tree(leaves, level, 0);
}

// Each rank sums its leaves, then the ranks' nodes are put together: what is added to what must not
// depend on the number of ranks.
TEST(TreeStack, EveryNumberOfRanksAddsTheSameTree) {
  EXPECT_EQ(whole_tree(6), "(((0+1)+(2+3))+(4+5))");  // the oracle, by hand
  for (int64_t leaves = 1; leaves <= 40; ++leaves)
    for (int64_t ranks = 1; ranks <= leaves; ++ranks) {
      if (leaves % ranks) continue;
      TreeStack all(leaves);
      std::vector<std::string> sums;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const Range range = part_of(leaves, ranks, rank);
        TreeStack own(leaves);
        std::vector<std::string> held;
        size_t most = 0;
        for (int64_t leaf = range.begin; leaf < range.end; ++leaf) {
          most = std::max(most, held.size());
          std::string sum = std::to_string(leaf);
          const int place =
              own.push({0, leaf}, [&](int k) { sum = "(" + held[size_t(k)] + "+" + sum + ")"; });
          held.resize(size_t(place));
          held.push_back(sum);
        }
        const RangeNodes nodes = nodes_of(leaves, range);
        EXPECT_EQ(nodes.nodes, own.held());
        EXPECT_EQ(size_t(nodes.most), most);
        for (size_t n = 0; n < held.size(); ++n) {
          std::string sum = held[n];
          const int place = all.push(own.held()[n],
                                     [&](int k) { sum = "(" + sums[size_t(k)] + "+" + sum + ")"; });
          sums.resize(size_t(place));
          sums.push_back(sum);
        }
      }
      ASSERT_EQ(sums.size(), 1u) << leaves << " leaves, " << ranks << " ranks";
      EXPECT_EQ(sums[0], whole_tree(leaves)) << ranks << " ranks";
    }
}

}  // namespace
}  // namespace birkhoff::testing
