#include "base/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace birkhoff {
namespace {

TEST(ThreadTeam, RunsEveryTaskOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.size(), threads);
    for (const int64_t tasks : {0, 1, 2, 3, 100}) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(tasks));
      team.run(tasks, [&](int64_t task, int worker) {
        EXPECT_GE(worker, 0);
        EXPECT_LT(worker, threads);
        ++done[size_t(task)];
      });
      for (const auto& d : done) EXPECT_EQ(d, 1);
    }
  }
}

// Writes of one run are visible in the next, whichever worker takes which task; TSan checks it.
TEST(ThreadTeam, RunsFollowEachOther) {
  ThreadTeam team(3);
  std::vector<int64_t> x(64, 0);
  for (int round = 0; round < 300; ++round)
    team.run(64, [&](int64_t task, int) { x[size_t(63 - task)] = x[size_t(63 - task)] + task; });
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(x[size_t(i)], 300 * (63 - i));
}

// A team can end wherever its threads are: starting, waiting, or on the way to waiting.
TEST(ThreadTeam, EndsAtAnyMoment) {
  std::atomic<int> done = 0;
  for (int round = 0; round < 2000; ++round) {
    ThreadTeam team(3);
    for (int run = 0; run < round % 3; ++run) team.run(2, [&](int64_t, int) { ++done; });
  }
  EXPECT_EQ(done, 2 * (0 * 667 + 1 * 667 + 2 * 666));
}

TEST(ThreadTeam, RangesCoverTheCount) {
  ThreadTeam team(2);
  for (const int64_t count : {0, 1, 5, 64, 129}) {
    std::vector<std::atomic<int>> done(static_cast<size_t>(count));
    team.ranges(count, 16, [&](int64_t begin, int64_t end, int) {
      EXPECT_LE(end - begin, 16);
      for (int64_t i = begin; i < end; ++i) ++done[size_t(i)];
    });
    for (const auto& d : done) EXPECT_EQ(d, 1);
  }
}

TEST(ThreadTeam, RethrowsAndGoesOn) {
  ThreadTeam team(3);
  for (int round = 0; round < 50; ++round)
    EXPECT_THROW(team.run(20,
                          [&](int64_t task, int) {
                            if (task == 7) throw std::runtime_error("task 7");
                          }),
                 std::runtime_error);
  std::atomic<int> done = 0;
  team.run(10, [&](int64_t, int) { ++done; });
  EXPECT_EQ(done, 10);
}

}  // namespace
}  // namespace birkhoff
