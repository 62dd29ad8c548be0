#include "comm/beacon.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "comm/watch/local_watch.h"

namespace birkhoff::testing {
namespace {

TEST(Beacon, TellsWhatItWasTold) {
  Beacon beacon;
  EXPECT_STREQ(beacon.snapshot().last.operation, "none");
  beacon.enter(12, Activity::backward);
  beacon.begin({.sequence = 17, .operation = "all_reduce", .bytes = 4096});
  const Beacon::Snapshot in = beacon.snapshot();
  EXPECT_EQ(in.step, 12);
  EXPECT_EQ(name_of(in.activity), "backward");
  EXPECT_EQ(in.last.sequence, 17);
  EXPECT_EQ(in.last.bytes, 4096);
  EXPECT_STREQ(in.last.operation, "all_reduce");
  EXPECT_TRUE(in.waiting);
  beacon.end();
  beacon.tick();
  const Beacon::Snapshot after = beacon.snapshot();
  EXPECT_FALSE(after.waiting);
  EXPECT_EQ(after.last.sequence, 17);
  EXPECT_EQ(after.ticks, in.ticks + 2);
}

// A snapshot is consistent: operation, sequence and bytes belong to one call.
TEST(BeaconThread, SnapshotsAreOfOneMoment) {
  constexpr const char* kOperations[] = {"barrier", "all_reduce", "broadcast"};
  Beacon beacon;
  std::atomic<bool> done{false};
  int64_t last = 0;
  std::thread writer([&] {
    for (int64_t n = 1; !done; last = n++) {
      beacon.enter(n, Activity(n % kActivities));
      beacon.begin({.sequence = n, .operation = kOperations[n % 3], .bytes = 7 * n});
      beacon.end();
      // A rank works between its calls; without a pause the reader would never get a consistent
      // read.
      for (std::atomic<int> pause{0}; pause < 200;) pause.store(pause + 1);
    }
  });
  while (beacon.snapshot().last.sequence == 0) std::this_thread::yield();
  uint64_t ticks = 0;
  // On a busy machine the two may run alternately: counts how often the reader saw a change.
  for (int64_t moves = 0, before = 0; moves < 2'000;) {
    const Beacon::Snapshot s = beacon.snapshot();
    EXPECT_EQ(int64_t(s.activity), s.step % kActivities);
    EXPECT_EQ(s.last.bytes, 7 * s.last.sequence);
    if (s.last.sequence > 0) {
      EXPECT_STREQ(s.last.operation, kOperations[s.last.sequence % 3]);
    }
    EXPECT_GE(s.ticks, ticks);
    moves += s.last.sequence != before;
    before = s.last.sequence;
    ticks = s.ticks;
  }
  done = true;
  writer.join();
  EXPECT_EQ(beacon.snapshot().ticks, uint64_t(3 * last));
}

// Rank 1 is stuck while rank 0 waits for it and rank 2 is done.
TEST(LocalWatchThread, NamesTheStuckRank) {
  Beacon beacons[3];
  std::atomic<bool> known{false};
  Failure failure;
  std::vector<std::string> lines;
  std::thread stuck;
  {
    LocalWatch watch({.beacons = {&beacons[0], &beacons[1], &beacons[2]},
                      .timeout = 1,
                      .on_hang = [&](const Failure& f, const std::vector<std::string>& details) {
                        failure = f;
                        lines = details;
                        known = true;
                      }});
    beacons[0].begin({.sequence = 4, .operation = "all_gather", .bytes = 10});
    watch.finished(2);
    stuck = std::thread([&] {
      // Longer than the timeout, but with ticks: raises no alarm.
      for (int i = 0; i < 30; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        EXPECT_FALSE(known);
        beacons[1].enter(9, Activity::forward);
      }
      while (!known) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
    stuck.join();
  }
  EXPECT_EQ(failure.code, ExitCode::hang);
  EXPECT_EQ(failure.rank, 1);
  EXPECT_EQ(failure.step, 9);
  EXPECT_EQ(failure.activity, Activity::forward);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].substr(0, lines[0].rfind(' ', lines[0].size() - 3)),
            "rank 0 last collective: sequence 4, all_gather, 10 bytes, waiting for");
}

TEST(LocalWatchThread, IsStillWhenAllAreDone) {
  Beacon beacons[2];
  std::atomic<bool> known{false};
  {
    LocalWatch watch({.beacons = {&beacons[0], &beacons[1]},
                      .timeout = 0.1,
                      .on_hang = [&](const Failure&, const auto&) { known = true; }});
    watch.finished(0), watch.finished(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
  }
  EXPECT_FALSE(known);
}

}  // namespace
}  // namespace birkhoff::testing
