// Real processes that fail in every way, and how the others react. The limits are generous: what is
// late because of a mistake is a minute late here.
#include "comm/watch/watchdog.h"

#include <gmock/gmock.h>

#include <list>
#include <sstream>
#include <thread>

#include "tests/support/rank_job.h"

namespace birkhoff::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Matches;
using ::testing::MatchesRegex;

constexpr int kLimit = 45;       // seconds, for a job
constexpr double kNoHang = 300;  // a timeout that no test reaches: deaths must not need it
constexpr double kHang = 2;

struct Rehearsal {
  std::string kind = "";  // of the drill; empty: none
  int victim = 0, size = 2;
  std::string at = "backward";
  double timeout = kNoHang;
  std::string cause = "";
  int code = 0;      // exit code of the others
  int victims = -1;  // exit code of the victim; −1: any but 0, since sanitizers differ
  std::vector<std::string> more = {};  // arguments of the victim
  std::vector<std::string> last = {};  // arguments of the last rank
};

struct Running {
  Rehearsal rehearsal;
  RankJob job;
};

void start(Running& r) {
  const Rehearsal& h = r.rehearsal;
  for (int rank = 0; rank < h.size; ++rank) {
    std::vector<std::string> command = {BIRKHOFF_WATCH_RANK, std::to_string(rank),
                                        std::to_string(h.size), r.job.path().string(),
                                        fmt::format("{}", h.timeout)};
    if (!h.kind.empty())
      command.push_back(fmt::format("drill=rank={},step={},at={},kind={}", h.victim,
                                    h.at == "init" || h.at == "load" ? 0
                                    : h.at == "save"                 ? 5
                                                                     : 3,
                                    h.at, h.kind));
    if (rank == h.victim) command.insert(command.end(), h.more.begin(), h.more.end());
    if (rank == h.size - 1) command.insert(command.end(), h.last.begin(), h.last.end());
    r.job.start(command);
  }
}

std::vector<std::string> root_causes(const std::string& err) {
  const auto is_one = Matches(
      MatchesRegex("birkhoff: rank [0-9]+ host [^ ]+ pid [0-9]+ step [0-9]+ activity [a-z]+: .*"));
  std::vector<std::string> found;
  std::istringstream in(err);
  for (std::string line; std::getline(in, line);)
    if (is_one(line)) found.push_back(line);
  return found;
}

// The place that the line names: a drill at a collective is in `reduce`.
std::string place(const Rehearsal& h, pid_t pid) {
  const bool early = h.at == "init" || h.at == "load";
  return fmt::format("rank {} host [^ ]+ pid {} step {} activity {}: .*{}", h.victim, pid,
                     early            ? 0
                     : h.at == "save" ? 5
                                      : 3,
                     h.at == "all_reduce" ? "reduce" : h.at, h.cause);
}

void finish(Running& r) {
  const Rehearsal& h = r.rehearsal;
  SCOPED_TRACE(fmt::format("{} of rank {} of {} at {}", h.kind, h.victim, h.size, h.at));
  const std::vector<int> codes = r.job.wait(kLimit);
  const std::string err = r.job.err();
  for (int rank = 0; rank < h.size; ++rank) {
    const int code = codes[size_t(rank)];
    if (rank == h.victim && h.victims < 0) {
      EXPECT_NE(code, 0) << err;
    } else {
      EXPECT_EQ(code, rank == h.victim ? h.victims : h.code) << "rank " << rank << "\n" << err;
    }
  }
  const std::vector<std::string> lines = root_causes(err);
  ASSERT_EQ(lines.size(), 1u) << err;
  EXPECT_THAT(lines[0], ContainsRegex(place(h, r.job.pid(h.victim))));
  // Every survivor that wrote a log has the cause in it. If rank 0 died without a report, nobody
  // tells the others: each looks for itself, and one that looks after the process was reaped sees
  // less.
  const bool each_looked = h.victim == 0 && h.code == int(ExitCode::peer) && h.cause.empty();
  for (int rank = 0; rank < h.size; ++rank) {
    if (rank == h.victim) continue;
    const std::string log = slurp(r.job.path() / fmt::format("log-{}", rank));
    if (each_looked)
      EXPECT_THAT("birkhoff: " + log, ContainsRegex(place(h, r.job.pid(h.victim))));
    else
      EXPECT_EQ("birkhoff: " + log, lines[0]);
    if (h.at != "backward" || !h.last.empty()) continue;
    // It waited for the victim in a collective, and the watchdog ended that wait.
    EXPECT_EQ(slurp(r.job.path() / fmt::format("caught-{}", rank)),
              "a wait was ended by the watchdog");
  }
  if (h.code == int(ExitCode::hang)) {
    EXPECT_THAT(err, ContainsRegex(fmt::format("birkhoff:   rank {} ", h.victim)));
  }
}

// Runs all jobs at once: they mostly wait.
void rehearse(const std::vector<Rehearsal>& rehearsals) {
  std::list<Running> jobs;
  for (const Rehearsal& h : rehearsals) jobs.emplace_back(h);
  for (Running& job : jobs) start(job);
  for (Running& job : jobs) finish(job);
}

TEST(WatchdogDrills, ThrowEndsAllWithItsOwnCode) {
  std::vector<Rehearsal> all;
  for (const auto& [victim, size] : {std::pair(0, 1), {0, 2}, {1, 2}, {2, 3}})
    all.push_back({.kind = "throw",
                   .victim = victim,
                   .size = size,
                   .cause = "thrown by --drill",
                   .code = 9,
                   .victims = 9});
  for (const char* at : {"init", "load", "data", "forward", "all_reduce", "update", "save"})
    all.push_back({.kind = "throw",
                   .victim = 1,
                   .at = at,
                   .cause = "thrown by --drill",
                   .code = 9,
                   .victims = 9});
  rehearse(all);
}

// Rank 2 reports that a peer is gone before rank 1 reports what happened to it.
TEST(WatchdogDrills, ASymptomIsNotTheCause) {
  rehearse({{.kind = "throw",
             .victim = 1,
             .size = 3,
             .cause = "thrown by --drill",
             .code = 9,
             .victims = 9,
             .last = {"peer=3"}},
            {.victim = 2,
             .size = 3,
             .at = "data",
             .cause = "a peer is gone",
             .code = 6,
             .victims = 6,
             .more = {"peer=3"}}});
}

TEST(WatchdogDrills, FatalSignalsAreNamed) {
  std::vector<Rehearsal> all;
  for (const auto& [victim, size] : {std::pair(0, 2), {1, 2}, {0, 4}, {2, 3}})
    all.push_back({.kind = "segv",
                   .victim = victim,
                   .size = size,
                   .cause = "killed by signal 11 .SIGSEGV.$",
                   .code = 6});
  for (const int victim : {0, 1})
    all.push_back({.kind = "abort",
                   .victim = victim,
                   .size = 3,
                   .at = "all_reduce",
                   .cause = "killed by signal 6 .SIGABRT.$",
                   .code = 6});
  rehearse(all);
}

TEST(WatchdogDrills, DeathWithoutAWordIsSeen) {
  std::vector<Rehearsal> all;
  for (const auto& [victim, size] : {std::pair(0, 2), {1, 2}, {0, 4}, {3, 4}})
    all.push_back({.kind = "kill", .victim = victim, .size = size, .code = 6, .victims = 128 + 9});
  for (const int victim : {0, 1}) {
    all.push_back(
        {.kind = "exit", .victim = victim, .size = 3, .at = "save", .code = 6, .victims = 0});
    all.push_back(
        {.kind = "kill", .victim = victim, .size = 3, .at = "init", .code = 6, .victims = 128 + 9});
  }
  rehearse(all);
}

TEST(WatchdogDrills, AStoppedRankIsKilledAndAnEndlessLoopNamed) {
  std::vector<Rehearsal> all;
  for (const auto& [victim, size] : {std::pair(0, 2), {1, 2}, {0, 4}, {2, 3}})
    all.push_back({.kind = "stop",
                   .victim = victim,
                   .size = size,
                   .timeout = kHang,
                   .cause = "no sign of life for 2 s",
                   .code = 7,
                   .victims = 128 + 9});
  for (const auto& [victim, size] : {std::pair(0, 1), {0, 2}, {1, 3}})
    all.push_back({.kind = "loop",
                   .victim = victim,
                   .size = size,
                   .at = "all_reduce",
                   .timeout = kHang,
                   .cause = "no progress for 2 s",
                   .code = 7,
                   .victims = 7});
  rehearse(all);
}

// A rank that skips a collective is one call behind, and reaches the end first.
TEST(WatchdogDrills, ASkippedCollectiveNamesWhoIsBehind) {
  std::list<Running> jobs;
  for (const int victim : {0, 1})
    jobs.emplace_back(Rehearsal{.victim = victim, .size = 3, .timeout = kHang, .more = {"skip=3"}});
  for (Running& r : jobs) start(r);
  for (Running& r : jobs) {
    const int victim = r.rehearsal.victim;
    const std::vector<int> codes = r.job.wait(kLimit);
    const std::string err = r.job.err();
    ASSERT_EQ(root_causes(err).size(), 1u) << err;
    EXPECT_THAT(root_causes(err)[0],
                ContainsRegex(fmt::format("rank {} .* step 5 activity finish: deadlock: .* at "
                                          "sequence 4 .all_reduce.",
                                          victim)));
    for (int rank = 0; rank < 3; ++rank) {
      EXPECT_EQ(codes[size_t(rank)], 7) << err;
      if (rank == victim) continue;
      EXPECT_THAT(err, ContainsRegex(fmt::format("birkhoff:   rank {} last collective: sequence 5, "
                                                 "all_reduce, 4096 bytes, waiting for [0-9]",
                                                 rank)));
    }
    EXPECT_THAT(
        err, HasSubstr(fmt::format(
                 "rank {} last collective: sequence 4, all_reduce, 4096 bytes, finished", victim)));
  }
}

TEST(WatchdogDrills, NothingIsSaidOfRanksThatFinishAtDifferentTimes) {
  std::list<Running> jobs;
  // A save that takes three timeouts but ticks, on rank 0 or another.
  for (const int slow : {0, 1, 2})
    jobs.emplace_back(Rehearsal{.victim = slow, .size = 3, .timeout = 0.7, .more = {"dwell=2"}});
  for (Running& r : jobs) start(r);
  for (Running& r : jobs) {
    EXPECT_THAT(r.job.wait(kLimit), Each(0)) << r.job.err();
    EXPECT_EQ(r.job.err(), "");
  }
}

// The whole job is stopped for longer than the timeout, as by Ctrl-Z, and then continues.
TEST(WatchdogDrills, AJobThatWasSuspendedGoesOn) {
  Running r{{.victim = 1, .size = 3, .timeout = 1.5, .more = {"dwell=1"}}, {}};
  start(r);
  while (!std::filesystem::exists(r.job.path() / "rendezvous"))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  for (int rank = 0; rank < 3; ++rank) ::kill(r.job.pid(rank), SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(2000));
  for (int rank = 0; rank < 3; ++rank) ::kill(r.job.pid(rank), SIGCONT);
  EXPECT_THAT(r.job.wait(kLimit), Each(0)) << r.job.err();
  EXPECT_EQ(r.job.err(), "");
}

}  // namespace
}  // namespace birkhoff::testing
