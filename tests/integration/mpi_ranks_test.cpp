// Ranks under mpirun: the same bits as with ranks that are threads, and clean exits.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <sstream>

#include "comm/local/run_ranks.h"
#include "tests/support/collective_hashes.h"
#include "tests/support/hard_timeout.h"
#include "tests/support/subprocess.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

Finished mpirun(int ranks, const std::string& what, int seconds = 60) {
  return run_program({"/usr/bin/env", "ASAN_OPTIONS=detect_leaks=0",  // MPI's own, at exit
                      "mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
                      "-np", std::to_string(ranks), BIRKHOFF_MPI_RANKS, what},
                     seconds);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class MpiRanks : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "TSan does not know what MPI synchronises";
#endif
    if (run_program({"/usr/bin/env", "mpirun", "--version"}).code != 0)
      GTEST_SKIP() << "mpirun is not installed";
  }
};

TEST_F(MpiRanks, GiveTheBitsOfThreads) {
  for (const int n : {2, 3, 4}) {
    std::vector<std::vector<std::string>> of_rank(static_cast<size_t>(n));
    {
      const HardTimeout timeout(60, "ranks as threads");
      run_ranks(n, [&](Communicator& ranks) {
        of_rank[size_t(ranks.rank())] = collective_hashes(ranks);
      });
    }
    std::vector<std::string> wanted;
    for (int r = 0; r < n; ++r)
      for (const std::string& line : of_rank[size_t(r)])
        wanted.push_back(fmt::format("rank {} {}", r, line));
    const Finished ran = mpirun(n, "hashes");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(lines_of(ran.out), wanted) << ran.err;
  }
}

TEST_F(MpiRanks, KnowTheirHost) {
  char name[256] = "";
  ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
  const Finished ran = mpirun(3, "hosts");
  EXPECT_EQ(ran.code, 0) << ran.err;
  std::vector<std::string> wanted;
  for (int r = 0; r < 3; ++r)
    wanted.push_back(fmt::format("rank {} of 3: {}, {} of 3 there", r, name, r));
  EXPECT_EQ(lines_of(ran.out), wanted) << ran.err;
}

TEST_F(MpiRanks, FormGroups) {
  const Finished ran = mpirun(3, "groups");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "rank 0 sum 2\nrank 1 sum 1\nrank 2 sum 2\n");
}

TEST_F(MpiRanks, InDifferentCallsAreNamed) {
  const Finished ran = mpirun(3, "mismatch");
  EXPECT_EQ(ran.code, 9) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("9: ranks are in different calls: "));
  EXPECT_THAT(ran.err, HasSubstr("all_reduce of 100001 f32 (its 3rd call in group 0)"));
  EXPECT_THAT(ran.err, HasSubstr("all_reduce of 100000 f32 (its 3rd call in group 0)"));
}

TEST_F(MpiRanks, OneFailsAndTheOthersSayWhy) {
  const Finished ran = mpirun(3, "throw");
  EXPECT_THAT(ran.code, AnyOf(3, 6)) << ran.err;
  EXPECT_THAT(ran.err, AllOf(HasSubstr("[1] 3: tokens.bin is torn"),
                             HasSubstr("[0] 6: rank 1: tokens.bin is torn"),
                             HasSubstr("[2] 6: rank 1: tokens.bin is torn")));
}

TEST_F(MpiRanks, LeaveAWaitWhenAWatchdogSaysSo) {
  const Finished ran = mpirun(3, "stuck");
  EXPECT_EQ(ran.code, 7) << ran.err;
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("[0] 7: rank 1 is late"), HasSubstr("[2] 7: rank 1 is late")));
}

TEST_F(MpiRanks, ACallThatOneSkippedIsFoundAtTheEnd) {
  const Finished ran = mpirun(2, "skip");
  EXPECT_EQ(ran.code, 9) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("ranks are in different calls: "));
}

TEST_F(MpiRanks, AreOneWithoutALauncher) {
  const Finished ran = run_program({BIRKHOFF_MPI_RANKS, "hosts"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("rank 0 of 1: "));
  EXPECT_THAT(ran.out, HasSubstr(", 0 of 1 there"));
}

}  // namespace
}  // namespace birkhoff::testing
