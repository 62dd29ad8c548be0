// A run that a signal asks to stop saves, exits with 75 and resumes to the same bits; a second
// signal ends it at once; what was ignored stays ignored. An injected stop or loop (--drill) holds
// the run at the wanted moment, so that no test depends on its speed.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/rng.h"
#include "launch/stop_signal.h"
#include "tests/support/run_results.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void sleep_for(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

// S, T (stopped), …; 0 if there is no such process.
char state_of(int pid) {
  const std::string path = fmt::format("/proc/{}/stat", pid);
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const size_t close = line.rfind(')');
  return close == std::string::npos ? '\0' : line[close + 2];
}

class Stopped : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    small_ = new SmallRun;
    const auto start = std::chrono::steady_clock::now();
    const Finished done = birkhoff(train("unbroken"));
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ASSERT_EQ(done.code, 0) << done.err;
    want_ = new Results(results_of(small_->at("unbroken")));
    ASSERT_EQ(want_->size(), 3u);  // metrics, and the checkpoints of steps 3 and 6
  }
  static void TearDownTestSuite() {
    delete small_, small_ = nullptr;
    delete want_, want_ = nullptr;
  }

  static std::vector<std::string> train(const std::string& run, const std::string& drill = "") {
    std::vector<std::string> all = {"train", small_->at("small.yaml"), "run.dir=" + small_->at(run),
                                    "train.reduction_groups=2"};
    if (!drill.empty()) all.insert(all.end(), {"--drill", "rank=0," + drill});
    return all;
  }
  static Started start(const std::string& drill) {
    std::vector<std::string> command = train("run", drill);
    command.insert(command.begin(), BIRKHOFF_BINARY);
    return Started(command);
  }
  // Started by a shell; in `line`, "$@" is the command.
  static Started start_in_shell(const std::string& line, const std::string& drill) {
    std::vector<std::string> command = train("run", drill);
    command.insert(command.begin(), {"/bin/bash", "-c", line, "bash", BIRKHOFF_BINARY});
    return Started(command);
  }

  // Waits until a drill of kind=stop has stopped the process.
  static void wait_until_held(const Started& run) {
    for (int look = 0; look < 6000 && state_of(run.pid()) != 'T'; ++look)
      sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(state_of(run.pid()), 'T');
  }
  // To the thread that is held, which then sees the signal before it goes on. Of a process that is
  // stopped any thread may take a signal, and this one could take a step before another thread says
  // what will follow.
  static void signal_main_thread(const Started& run, int signal) {
    ASSERT_EQ(::syscall(SYS_tgkill, run.pid(), run.pid(), signal), 0);
  }
  // Waits until a drill of kind=loop holds the run, some time after the checkpoint of `steps`.
  static void wait_until_loops(const std::string& steps) {
    ASSERT_TRUE(appears(small_->at("run") + "/checkpoints/" + steps + "/manifest.json", 30));
    sleep_for(std::chrono::milliseconds(100));
  }

  // Ignores checkpoints of steps at which the unbroken run saved none.
  static void expect_goes_on_as_unbroken() {
    const Finished done = birkhoff(train("run"));
    ASSERT_EQ(done.code, 0) << done.err;
    Results got = results_of(small_->at("run"));
    std::erase_if(got, [](const auto& part) { return !want_->contains(part.first); });
    EXPECT_EQ(differences(got, *want_), "");
    std::filesystem::remove_all(small_->at("run"));
  }

  static SmallRun* small_;
  static Results* want_;
  static double seconds_;
};
SmallRun* Stopped::small_ = nullptr;
Results* Stopped::want_ = nullptr;
double Stopped::seconds_ = 0;

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST_F(Stopped, AtAnyPlaceItSavesAndExitsWith75) {
  struct Case {
    int signal;
    std::string drill, said;
    int64_t saved;  // the newest checkpoint; 0: none
  };
  const Case cases[] = {
      {SIGINT, "at=init", "(SIGINT): ending before the first step; signal again to end at once", 0},
      {SIGHUP, "step=1,at=data", "(SIGHUP): saving before or after step 1; ", 0},
      {SIGINT, "step=2,at=forward", "(SIGINT): finishing step 2, then saving; signal again to end",
       2},
      {SIGTERM, "step=4,at=update", "(SIGTERM): finishing step 4, then saving; ", 4},
      {SIGHUP, "step=3,at=evaluate", "(SIGHUP): stopping the evaluation after step 3, ", 3},
      {SIGINT, "step=6,at=evaluate", "(SIGINT): stopping the evaluation after step 6, ", 6},
      {SIGUSR1, "step=3,at=save", "(SIGUSR1): finishing the checkpoint of step 3; ", 3},
  };
  for (const auto& [signal, drill, said, saved] : cases) {
    SCOPED_TRACE(drill);
    Started run = start(drill + ",kind=stop");
    wait_until_held(run);
    signal_main_thread(run, signal);
    ::kill(run.pid(), SIGCONT);
    const Finished done = run.wait(60);
    EXPECT_EQ(done.code, 75) << done.err;
    EXPECT_EQ(count(done.err, "birkhoff: stop requested "), 1u) << done.err;
    EXPECT_THAT(done.err, HasSubstr("birkhoff: stop requested " + said));
    const std::vector<Path> checkpoints = checkpoint_candidates(small_->at("run"));
    EXPECT_EQ(checkpoints.empty() ? "none" : checkpoints[0].filename().string(),
              saved ? checkpoint_name(saved) : "none");
    expect_goes_on_as_unbroken();
  }
}

// A checkpoint that the run has just loaded is not saved again, which would put it aside.
TEST_F(Stopped, ARunThatHasJustResumedSavesNothing) {
  ASSERT_EQ(birkhoff([] {
              auto all = train("run");
              all.push_back("train.stop_at=3");
              return all;
            }())
                .code,
            0);
  const auto before = kept_files(small_->at("run"));
  Started run = start("step=4,at=data,kind=stop");
  wait_until_held(run);
  signal_main_thread(run, SIGINT);
  ::kill(run.pid(), SIGCONT);
  const Finished done = run.wait(60);
  EXPECT_EQ(done.code, 75) << done.err;
  EXPECT_THAT(done.err, HasSubstr("step 3 is already saved"));
  auto after = kept_files(small_->at("run"));
  after.erase("config.yaml");
  for (const auto& [name, bytes] : after) EXPECT_EQ(before.count(name), 1u) << name;
  expect_goes_on_as_unbroken();
}

TEST_F(Stopped, ASecondSignalEndsItAtOnce) {
  const std::pair<int, int> pairs[] = {{SIGINT, SIGINT}, {SIGTERM, SIGINT}, {SIGHUP, SIGTERM}};
  for (const auto& [first, second] : pairs) {
    Started run = start("step=4,at=forward,kind=loop");
    wait_until_loops("step-00000003");
    ::kill(run.pid(), first);
    sleep_for(kStopDebounce * 2);
    EXPECT_NE(state_of(run.pid()), 'Z');
    ::kill(run.pid(), second);
    const Finished done = run.wait(30);
    EXPECT_EQ(done.code, 128 + second) << done.err;
    EXPECT_THAT(done.err, HasSubstr("without saving\n"));
    EXPECT_THAT(done.err, HasSubstr(": ended at once ("));
    expect_goes_on_as_unbroken();
  }
}

// Launchers forward what a terminal sends to every process anyway.
TEST_F(Stopped, ARequestThatArrivesTwiceIsOne) {
  Started run = start("step=4,at=forward,kind=stop");
  wait_until_held(run);
  for (const int signal : {SIGINT, SIGHUP, SIGTERM, SIGUSR1}) signal_main_thread(run, signal);
  ::kill(run.pid(), SIGCONT);
  const Finished done = run.wait(60);
  EXPECT_EQ(done.code, 75) << done.err;
  expect_goes_on_as_unbroken();
}

TEST_F(Stopped, WhatWasIgnoredAtStartStaysIgnored) {
  Started run = start_in_shell("trap '' HUP INT; exec \"$@\"", "step=4,at=forward,kind=stop");
  wait_until_held(run);
  signal_main_thread(run, SIGHUP);
  signal_main_thread(run, SIGINT);
  ::kill(run.pid(), SIGCONT);
  const Finished done = run.wait(60);
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.err, Not(HasSubstr("stop requested")));
  EXPECT_EQ(differences(results_of(small_->at("run")), *want_), "");
  std::filesystem::remove_all(small_->at("run"));
}

TEST_F(Stopped, AReaderThatHasLeftEndsNothing) {
  const Finished done =
      start_in_shell("\"$@\" 2>&1 | head -n 1; exit ${PIPESTATUS[0]}", "").wait(60);
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(count(done.out, "\n"), 1u);
  EXPECT_EQ(differences(results_of(small_->at("run")), *want_), "");
  std::filesystem::remove_all(small_->at("run"));
}

// Tries a few random moments; scripts/torture.sh --stops tries many, in longer runs.
TEST_F(Stopped, AtRandomMomentsWithOneProcessAndUnderMpirun) {
  const Random random(uint64_t(::time(nullptr)), "moments");
  const int signals[] = {SIGINT, SIGHUP, SIGTERM};
  for (uint64_t trial = 0; trial < 6; ++trial) {
    std::vector<std::string> command = train("run");
    command.insert(command.begin(), BIRKHOFF_BINARY);
    const bool several = trial % 2 == 1;
    if (several)
      command.insert(command.begin(), {BIRKHOFF_SOURCE_DIR "/launch/mpirun.sh", "-np", "2"});
    Started run(command);
    const double wait = 0.1 + random.uniform(trial) * (seconds_ + (several ? 1 : 0));
    sleep_for(std::chrono::milliseconds(int(wait * 1000)));
    ::kill(run.pid(), signals[trial / 2]);
    const Finished done = run.wait(60);
    SCOPED_TRACE(
        fmt::format("signal {} after {:.2f} s, several: {}", signals[trial / 2], wait, several));
    EXPECT_TRUE(done.code == 75 || done.code == 0) << done.code << done.err;
    EXPECT_TRUE(gone_within(small_->at("run"), 10));
    expect_goes_on_as_unbroken();
  }
}

}  // namespace
}  // namespace birkhoff::testing
