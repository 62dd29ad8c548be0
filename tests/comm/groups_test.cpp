// Groups of ranks: the axes of a mesh, groups of groups, invalid lists.
#include <gmock/gmock.h>

#include <vector>

#include "tests/comm/ranks.h"

namespace birkhoff {
namespace {

using testing::failure_in_time;
using ::testing::HasSubstr;
using testing::Jitter;
using testing::run_in_time;

int64_t sum_of(Communicator& ranks, int64_t x) {
  ranks.all_reduce(elements(std::span(&x, 1)), Reduction::sum);
  return x;
}

// 8 ranks as 2 × 4: rank = 4·row + column.
TEST(CommunicatorGroups, AxesOfAMesh) {
  run_in_time(8, [](Communicator& ranks) {
    const int self = ranks.rank(), row = self / 4, column = self % 4;
    Jitter jitter(self);
    const std::vector<int> in_row = {4 * row, 4 * row + 1, 4 * row + 2, 4 * row + 3};
    const std::vector<int> in_column = {column, column + 4};
    const auto rows = ranks.group(in_row), columns = ranks.group(in_column);
    EXPECT_EQ(rows->rank(), column);
    EXPECT_EQ(rows->size(), 4);
    EXPECT_EQ(columns->rank(), row);
    EXPECT_EQ(columns->size(), 2);
    for (int k = 0; k < 5; ++k) {
      jitter();
      EXPECT_EQ(sum_of(*rows, self), 16 * row + 6);
      jitter();
      EXPECT_EQ(sum_of(*columns, self), 2 * column + 4);
      EXPECT_EQ(sum_of(ranks, self), 28);
    }
    // One call of each in flight at once, started in different orders.
    int64_t a = self, b = self;
    Pending one = (row ? *rows : *columns)
                      .start_all_reduce(elements(std::span(row ? &a : &b, 1)), Reduction::sum);
    Pending two = (row ? *columns : *rows)
                      .start_all_reduce(elements(std::span(row ? &b : &a, 1)), Reduction::sum);
    one.wait(), two.wait();
    EXPECT_EQ(a, 16 * row + 6);
    EXPECT_EQ(b, 2 * column + 4);
  });
}

// Ranks that have been in different numbers of groups still agree on the next group's number.
TEST(CommunicatorGroups, OfGroupsThatOutliveThem) {
  run_in_time(5, [](Communicator& ranks) {
    const int self = ranks.rank();
    const bool low = self < 3;
    auto half = ranks.group(low ? std::vector<int>{0, 1, 2} : std::vector<int>{3, 4});
    std::unique_ptr<Communicator> pair;
    if (low) {
      const auto deeper = half->group(std::vector<int>{self});
      EXPECT_EQ(deeper->size(), 1);
      EXPECT_EQ(sum_of(*deeper, self), self);
      pair = half->group(self == 1 ? std::vector<int>{} : std::vector<int>{0, 2});
      EXPECT_EQ(pair == nullptr, self == 1);
    }
    half = nullptr;
    const auto ends =
        ranks.group(self % 4 == 0 ? std::vector<int>{0, 4} : std::vector<int>{1, 2, 3});
    EXPECT_EQ(sum_of(*ends, self), self % 4 == 0 ? 4 : 6);
    const int64_t of_pair = pair ? sum_of(*pair, self) : 2;
    EXPECT_EQ(of_pair, 2);
    EXPECT_EQ(sum_of(ranks, 1), 5);
  });
}

TEST(CommunicatorGroups, MessagesAndMismatchesNameTheRanksOfTheRun) {
  const std::string what = failure_in_time(5, [](Communicator& ranks) {
    const bool odd = ranks.rank() % 2;
    const auto half = ranks.group(odd ? std::vector<int>{1, 3} : std::vector<int>{0, 2, 4});
    if (!odd) return;
    if (half->rank() == 1)
      half->barrier();
    else
      sum_of(*half, 1);
  });
  EXPECT_THAT(what, HasSubstr("9: ranks are in different calls: "));
  EXPECT_THAT(what, HasSubstr("rank 1"));
  EXPECT_THAT(what, HasSubstr("rank 3"));
  EXPECT_THAT(what, HasSubstr("all_reduce of 1 i64 (its 1st call in group 1)"));
}

TEST(CommunicatorGroups, ListsThatDoNotFitAreRefusedOnAllRanks) {
  const auto run = [](const std::vector<std::vector<int>>& lists) {
    std::vector<std::string> seen(3);
    run_in_time(3, [&](Communicator& ranks) {
      try {
        const auto group = ranks.group(lists[size_t(ranks.rank())]);
      } catch (const InternalError& e) {
        seen[size_t(ranks.rank())] = e.what();
      }
      ranks.barrier();  // all have refused, so the communicator still works
    });
    EXPECT_EQ(seen[1], seen[0]);
    EXPECT_EQ(seen[2], seen[0]);
    return seen[0];
  };
  EXPECT_EQ(run({{0, 1}, {1, 2}, {1, 2}}),
            "[group] rank 0 lists rank 1, which gives a different list");
  EXPECT_EQ(run({{0, 1}, {0, 1}, {1}}), "[group] rank 2 is not in its own list");
  EXPECT_THAT(run({{0, 0}, {1}, {2}}), HasSubstr("[group] rank 0 lists rank 0 at position 1"));
  EXPECT_THAT(run({{0}, {1}, {2, 7}}), HasSubstr("[group] rank 2 lists rank 7 at position 1"));
}

}  // namespace
}  // namespace birkhoff
