// Runs that are killed and started again end as the unbroken run does, bit by bit; a rank that
// fails takes all others with it, and one line says why.
#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "base/rng.h"
#include "tests/support/run_results.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// 14 steps of 7 sequences: the generated text makes about 25 windows, so an epoch ends within steps
// 4, 8 and 11; the learning rate changes after steps 7 and 11; four groups of micro-batches per
// step.
const std::vector<std::string> kConfig = {
    "train.global_batch=7", "train.reduction_groups=4",     "train.steps=14",
    "train.eval_every=5",   "checkpoint.every=2",           "checkpoint.keep=2",
    "optim.schedule=step",  "optim.step_points=[0.5, 0.8]", "optim.step_factors=[0.5, 0.25]",
    "run.timeout=20"};

class Killed : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    small_ = new SmallRun;
    const auto start = std::chrono::steady_clock::now();
    const Finished done = run_program(command("unbroken"), 120);
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ASSERT_EQ(done.code, 0) << done.err;
    want_ = new Results(results_of(small_->at("unbroken")));
    ASSERT_EQ(want_->size(), 3u);  // metrics, and two checkpoints that were kept
  }
  static void TearDownTestSuite() {
    delete small_, small_ = nullptr;
    delete want_, want_ = nullptr;
  }

  static std::vector<std::string> command(const std::string& run,
                                          std::vector<std::string> more = {}) {
    std::vector<std::string> all = {BIRKHOFF_SOURCE_DIR "/launch/mpirun.sh",
                                    "-np",
                                    "2",
                                    BIRKHOFF_BINARY,
                                    "train",
                                    small_->at("small.yaml"),
                                    "run.dir=" + small_->at(run)};
    all.insert(all.end(), kConfig.begin(), kConfig.end());
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  // Resumes until the end and compares. A run that was killed between its last commit and the
  // pruning that follows has one checkpoint more: the process that resumes has read only the
  // newest, and removes nothing before two are known to be whole.
  static void expect_unbroken(const std::string& run) {
    const Finished done = run_program(command(run), 120);
    ASSERT_EQ(done.code, 0) << done.err;
    Results got = results_of(small_->at(run));
    std::erase_if(got, [](const auto& part) {
      return part.first.starts_with("step-") && part.first < want_->upper_bound("step-")->first;
    });
    EXPECT_EQ(differences(got, *want_), "");
    std::filesystem::remove_all(small_->at(run));
  }

  // Runs with a failure on demand; all processes end with non-zero codes, within the promised time.
  static Finished failing(const std::string& run, const std::string& drill) {
    const Finished failed = run_program(command(run, {"--drill", drill}), 60);
    EXPECT_NE(failed.code, 0) << drill;
    EXPECT_EQ(processes_with(small_->at(run)), std::vector<int>()) << drill;
    return failed;
  }

  static SmallRun* small_;
  static Results* want_;
  static double seconds_;
};
SmallRun* Killed::small_ = nullptr;
Results* Killed::want_ = nullptr;
double Killed::seconds_ = 0;

TEST_F(Killed, AtTheWorstMoments) {
  for (const char* drill : {
           "rank=0,step=3,at=forward,count=2,kind=kill",     // mid-accumulation
           "rank=1,step=5,at=backward,count=1,kind=kill",    //
           "rank=1,step=4,at=data,kind=kill",                // the end of an epoch
           "rank=0,step=8,at=update,kind=kill",              // a change of the schedule
           "rank=0,step=6,at=save,kind=kill",                // in a save, before its first byte
           "rank=1,step=6,at=all_gather,count=1,kind=kill",  //
           "rank=1,step=10,at=evaluate,kind=kill",           //
           "rank=0,step=1,at=forward,kind=kill",             // before anything was saved
       }) {
    const Finished failed = failing("run", drill);
    EXPECT_EQ(failed.code, 6) << drill << failed.err;
    expect_unbroken("run");
  }
}

TEST_F(Killed, AtRandomMoments) {
  const Random random(uint64_t(::time(nullptr)), "moments");
  for (uint64_t trial = 0; trial < 20; ++trial) {
    Started run(command("run"));
    const double wait = random.uniform(2 * trial) * seconds_;
    std::this_thread::sleep_for(std::chrono::duration<double>(wait));
    const bool mpirun = random.uniform(2 * trial + 1) < 0.3;
    const std::vector<int> ranks = processes_with(small_->at("run"), "birkhoff");
    SCOPED_TRACE(fmt::format("killed {} after {:.2f} s", mpirun ? "mpirun" : "a rank", wait));
    if (mpirun)
      run.signal_descendants(SIGKILL, "mpirun");
    else if (!ranks.empty())
      ::kill(ranks[trial % ranks.size()], SIGKILL);
    run.wait(60);
    EXPECT_TRUE(gone_within(small_->at("run"), 10));
    expect_unbroken("run");
  }
}

TEST_F(Killed, AskedToStopItSavesAndExitsWith75) {
  for (const int signal : {SIGINT, SIGHUP, SIGTERM, SIGUSR1}) {
    Started run(command("run", {"--drill", "rank=0,step=99,at=save,kind=kill"}));
    ASSERT_TRUE(appears(small_->at("run") + "/metrics.jsonl", 30));
    ::kill(run.pid(), signal);
    const Finished done = run.wait(60);
    if (done.code != 0) {  // the run was over before
      EXPECT_EQ(done.code, 75) << done.err;
      EXPECT_THAT(done.err, HasSubstr("stop requested; "));
      EXPECT_FALSE(checkpoint_candidates(small_->at("run")).empty());
    }
    expect_unbroken("run");
  }
}

// Where × how: the line names rank, host, step, activity and cause; the exit code is the cause's.
TEST_F(Killed, WhoeverFailsAllEnd) {
  struct Case {
    std::string at;
    std::string step;
  };
  const std::vector<Case> places = {{"init", "0"},       {"load", "0"},       {"data", "2"},
                                    {"forward", "2"},    {"backward", "2"},   {"reduce", "2"},
                                    {"update", "2"},     {"evaluate", "5"},   {"save", "2"},
                                    {"all_reduce", "2"}, {"all_to_all", "2"}, {"all_gather", "2"}};
  const char* kinds[] = {"throw", "segv", "exit", "kill", "abort"};
  size_t n = 0;
  for (const Case& place : places)
    for (int turn = 0; turn < 2; ++turn, ++n) {
      const std::string kind = kinds[n % std::size(kinds)];
      const int rank = int(n / 2 % 2);
      const std::string drill =
          fmt::format("rank={},step={},at={},kind={}", rank, place.step, place.at, kind);
      const auto start = std::chrono::steady_clock::now();
      const Finished failed = failing("run", drill);
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::filesystem::remove_all(small_->at("run"));
      EXPECT_LT(seconds, seconds_ + 10) << drill;
      EXPECT_EQ(failed.code, kind == "throw" ? 9 : 6) << drill << failed.err;
      const std::string line = fmt::format("birkhoff: rank {} host ", rank);
      const size_t first = failed.err.find(line);
      ASSERT_NE(first, std::string::npos) << drill << failed.err;
      EXPECT_EQ(failed.err.find("birkhoff: rank", first + 1), std::string::npos)
          << drill << failed.err;
      EXPECT_THAT(failed.err, HasSubstr(fmt::format("step {} activity ", place.step))) << drill;
    }
}

TEST_F(Killed, WhoeverHangsIsNamed) {
  for (const char* drill :
       {"rank=1,step=3,at=backward,kind=stop", "rank=0,step=2,at=data,kind=loop",
        "rank=1,step=2,at=save,kind=loop", "rank=0,step=3,at=reduce,kind=stop"}) {
    const Finished failed = run_program(command("run", {"--drill", drill, "run.timeout=3"}), 60);
    EXPECT_EQ(failed.code, 7) << drill << failed.err;
    EXPECT_THAT(failed.err, HasSubstr(fmt::format("birkhoff: rank {} host ", drill[5])));
    EXPECT_TRUE(gone_within(small_->at("run"), 5)) << drill;
    expect_unbroken("run");
  }
}

}  // namespace
}  // namespace birkhoff::testing
