#include "comm/watch/judge.h"

#include <gtest/gtest.h>

namespace birkhoff::testing {
namespace {

constexpr double kTimeout = 2;

// What happens to one rank over time. It is heard every quarter of a second until `heard_until`.
struct Course {
  double heard_until = 1e9;
  double ticks_until = 1e9;
  double waits_from = 1e9;
  int64_t sequence = 5;
  double lost_at = 1e9, finished_at = 1e9;
};

struct Verdict {
  std::optional<Judgement> judgement;
  double at = 0;
};

Verdict course_of(const std::vector<Course>& ranks, double until = 30) {
  Judge judge(int(ranks.size()), 0);
  for (double now = 0; now <= until; now += 0.25) {
    for (size_t r = 0; r < ranks.size(); ++r) {
      const Course& c = ranks[r];
      if (now <= c.heard_until)
        judge.heard(int(r), now,
                    {.step = 3,
                     .sequence = c.sequence,
                     .operation = "all_reduce",
                     .bytes = 64,
                     .waiting = now >= c.waits_from,
                     .ticks = uint64_t(std::min(now, std::min(c.ticks_until, c.waits_from)) * 4)});
      if (now >= c.lost_at) judge.lost(int(r));
      if (now >= c.finished_at) judge.finished(int(r));
    }
    if (const auto j = judge.judge(now, kTimeout)) return {j, now};
  }
  return {};
}

struct Row {
  const char* what;
  std::vector<Course> ranks;
  std::optional<Judgement> expected;
  double from = 0, to = 0;  // seconds between which the judgement falls
};

const Course kWell;
const Row kRows[] = {
    {"all is well", {kWell, kWell, kWell}, {}},
    {"one rank alone", {kWell}, {}},
    {"a connection closed", {kWell, {.lost_at = 1}, kWell}, Judgement{Fault::dead, 1}, 1, 1},
    {"rank 0's too", {{.lost_at = 1}, kWell}, Judgement{Fault::dead, 0}, 1, 1},
    {"a death counts before a hang",
     {{.ticks_until = 1}, {.lost_at = 3}},
     Judgement{Fault::dead, 1},
     3,
     3},
    {"a death in the last wait",
     {{.finished_at = 1}, {.lost_at = 3, .finished_at = 1}},
     Judgement{Fault::dead, 1},
     3,
     3},
    {"stopped", {kWell, {.heard_until = 1}}, Judgement{Fault::silent, 1}, 3, 3.25},
    {"stopped while all wait for it",
     {{.waits_from = 1.25}, {.heard_until = 1}},
     Judgement{Fault::silent, 1},
     3,
     3.25},
    {"stopped, its last words stood still: not stuck",
     {kWell, {.heard_until = 1, .ticks_until = 0.5}},
     Judgement{Fault::silent, 1},
     3,
     3.25},
    {"stopped in a collective that is then due to it",
     {{.waits_from = 1}, {.heard_until = 1.5, .waits_from = 1}},
     Judgement{Fault::silent, 1},
     3.5,
     3.75},
    {"stopped in the last wait",
     {kWell, {.heard_until = 1, .finished_at = 0.5}},
     Judgement{Fault::silent, 1},
     3,
     3.25},
    {"never heard", {kWell, {.heard_until = -1}}, Judgement{Fault::silent, 1}, 2, 2},
    {"an endless loop", {kWell, kWell, {.ticks_until = 1}}, Judgement{Fault::stuck, 2}, 3, 3.25},
    {"an endless loop that all wait for",
     {{.waits_from = 1}, {.ticks_until = 1}, {.waits_from = 1.25}},
     Judgement{Fault::stuck, 1},
     3,
     3.25},
    {"two loops: the longer one",
     {{.ticks_until = 1.5}, {.ticks_until = 0.5}},
     Judgement{Fault::stuck, 1},
     2.5,
     2.75},
    {"all wait, one is behind",
     {{.waits_from = 1}, {.waits_from = 1, .sequence = 4}, {.waits_from = 1}},
     Judgement{Fault::deadlock, 1},
     3,
     3.25},
    {"all wait since the last came",
     {{.waits_from = 1}, {.waits_from = 4}},
     Judgement{Fault::deadlock, 0},
     6,
     6.25},
    {"some wait, others are done, one collective short",
     {{.waits_from = 1}, {.sequence = 4, .finished_at = 1}},
     Judgement{Fault::deadlock, 1},
     3,
     3.25},
    {"a long wait for one that works", {{.waits_from = 1}, kWell}, {}},
    {"all are done",
     {{.ticks_until = 1, .finished_at = 1}, {.ticks_until = 1, .finished_at = 2}},
     {}},
    {"one is done long before the other", {{.ticks_until = 1, .finished_at = 1}, kWell}, {}},
};

TEST(Judge, Table) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.what);
    const Verdict v = course_of(row.ranks);
    ASSERT_EQ(v.judgement.has_value(), row.expected.has_value());
    if (!v.judgement) continue;
    EXPECT_EQ(int(v.judgement->fault), int(row.expected->fault));
    EXPECT_EQ(v.judgement->rank, row.expected->rank);
    EXPECT_GE(v.at, row.from);
    EXPECT_LE(v.at, row.to);
  }
}

TEST(Judge, TellsEachRanksLastCollective) {
  Judge judge(4, 0);
  const Sign waiting{.sequence = 17, .operation = "all_gather", .bytes = 4096, .waiting = true};
  judge.heard(0, 1, waiting);
  judge.heard(0, 3, waiting);
  judge.heard(1, 1, {});
  judge.heard(2, 1, {.sequence = 16, .operation = "barrier"});
  EXPECT_EQ(judge.last_collective(0, 3.5),
            "last collective: sequence 17, all_gather, 4096 bytes, waiting for 2.5 s");
  EXPECT_EQ(judge.last_collective(1, 3.5), "has called no collective");
  EXPECT_EQ(judge.last_collective(2, 3.5), "last collective: sequence 16, barrier, 0 bytes, done");
  EXPECT_EQ(judge.last_collective(3, 3.5), "was never heard from");
}

}  // namespace
}  // namespace birkhoff::testing
