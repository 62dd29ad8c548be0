#include "comm/exchange.h"

#include <gmock/gmock.h>

#include "comm/local/one_rank.h"
#include "tests/comm/ranks.h"

namespace birkhoff {
namespace {

using testing::failure_in_time;
using testing::run_in_time;

TEST(CommunicatorExchange, TextsOfAllLengthsComeWhole) {
  for (const int n : {1, 2, 5})
    run_in_time(n, [&](Communicator& ranks) {
      const auto text = [](int r) {
        return r == 1 ? std::string() : std::string(size_t(r * 7), char('a' + r)) + '\0' + "end";
      };
      const auto all = all_gather_texts(ranks, text(ranks.rank()));
      ASSERT_EQ(int(all.size()), n);
      for (int r = 0; r < n; ++r) EXPECT_EQ(all[size_t(r)], text(r));
      for (int root = 0; root < n; ++root)
        EXPECT_EQ(broadcast_text(ranks, text(ranks.rank()), root), text(root));
      for (const std::string& none : all_gather_texts(ranks, "")) EXPECT_EQ(none, "");
    });
}

TEST(CommunicatorExchange, AllRanksThrowWhatTheLowestFailedRankHas) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::string> seen(4);
    run_in_time(4, [&](Communicator& ranks) {
      const int self = ranks.rank();
      try {
        together(ranks, [&] {
          if (round == 0 && self == 3) throw ConfigError("seed: 3 here");
          if (round == 1 && self >= 1) throw_error(ExitCode(self + 1), fmt::format("by {}", self));
          if (round == 2 && self == 2) throw std::runtime_error("of no exit code");
        });
      } catch (const Error& e) {
        seen[size_t(self)] = fmt::format("{}: {}", int(e.code()), e.what());
      }
      ranks.barrier();  // the communicator still works
      together(ranks, [] {});
    });
    const char* const wanted[] = {"2: seed: 3 here", "2: by 1", "9: of no exit code"};
    EXPECT_THAT(seen, ::testing::Each(wanted[round]));
  }
}

TEST(CommunicatorExchange, TellsWhoseFailureItIs) {
  run_in_time(3, [](Communicator& ranks) {
    EXPECT_FALSE(agree(ranks, std::nullopt).has_value());
    std::optional<SharedError> own;
    if (ranks.rank() == 1) own = SharedError{.code = ExitCode::checkpoint, .line = "torn"};
    const auto failure = agree(ranks, own);
    ASSERT_TRUE(failure.has_value());
    EXPECT_EQ(failure->rank, 1);
    EXPECT_EQ(failure->code, ExitCode::checkpoint);
    EXPECT_EQ(failure->line, "torn");
  });
}

TEST(CommunicatorExchange, OneRankAlone) {
  OneRank self;
  EXPECT_EQ(all_gather_texts(self, "abc"), std::vector<std::string>{"abc"});
  EXPECT_EQ(broadcast_text(self, "abc", 0), "abc");
  EXPECT_THROW(together(self, [] { throw DataError("x"); }), DataError);
  EXPECT_EQ(self.group(std::vector<int>{0})->size(), 1);
  EXPECT_EQ(self.group(std::vector<int>{}), nullptr);
  EXPECT_THROW((void)self.group(std::vector<int>{1}), InternalError);
}

}  // namespace
}  // namespace birkhoff
