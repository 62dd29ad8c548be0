// A run directory as the argument of train and plan, and runs that move.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "engine/checkpoint/checkpoint.h"
#include "engine/config/load.h"
#include "engine/metrics/metrics.h"
#include "tests/support/run_results.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string metrics_of(const std::string& run) {
  return without_times(slurp(run + "/metrics.jsonl"));
}

class RunArgument : public ::testing::Test {
 protected:
  void SetUp() override {
    train(
        {small_.at("small.yaml"), "train.stop_at=3", "run.allow_changes=true", "run.resume=never"});
    std::filesystem::rename(small_.at("run"), small_.at("renamed"));
  }
  static void train(std::vector<std::string> arguments, int code = 0,
                    const std::string& said = "") {
    arguments.insert(arguments.begin(), "train");
    const Finished ran = birkhoff(arguments);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(said));
  }
  bool is_there(const std::string& name) const { return std::filesystem::exists(small_.at(name)); }

  const SmallRun small_;
};

TEST_F(RunArgument, GoesOnInThatDirectory) {
  const std::string renamed = small_.at("renamed");
  train({renamed + "/"}, 0, "resumed from " + renamed + "/checkpoints");
  EXPECT_FALSE(is_there("run"));
  train({small_.at("small.yaml")});  // the unbroken one
  EXPECT_EQ(metrics_of(renamed), metrics_of(small_.at("run")));
  const Config left = load_config(renamed + "/config.yaml");
  EXPECT_EQ(left.run.dir, renamed);
  EXPECT_EQ(left.train.stop_at, 0);
  EXPECT_EQ(left.run.resume, Resume::automatic);
  EXPECT_EQ(left.run.allow_changes, AllowedChanges());
}

TEST_F(RunArgument, WhatAnEarlierStartAllowedIsAskedForAgain) {
  train({small_.at("renamed"), "optim.lr=1e-3"}, 2, "run.allow_changes=[optim.lr]");
  train({small_.at("renamed"), "optim.lr=1e-3", "run.allow_changes=[optim.lr]"}, 0,
        "allowed on resume: optim.lr is 0.003 in the checkpoint but 0.001 now");
}

TEST_F(RunArgument, AConfigThatNamesAnotherPlaceIsWarnedAbout) {
  const std::string config = small_.at("renamed") + "/config.yaml";
  const std::string warning = "but its run.dir is " + small_.at("run");
  EXPECT_THAT(birkhoff({"plan", config}).err, HasSubstr(warning));
  EXPECT_THAT(birkhoff({"plan", small_.at("renamed")}).err, Not(HasSubstr("warning")));
  train({config, "run.resume=auto", "train.stop_at=1"}, 0, warning);
  EXPECT_TRUE(is_there("run"));
  train({config, "run.resume=auto", "run.dir=" + small_.at("elsewhere"), "train.stop_at=1"});
  const Finished asked = birkhoff(
      {"train", config, "run.resume=auto", "train.stop_at=4", "run.dir=" + small_.at("renamed")});
  EXPECT_THAT(asked.err, AllOf(HasSubstr("resumed from"), Not(HasSubstr(warning))));
  EXPECT_THAT(birkhoff({"plan", small_.at("small.yaml")}).err, Not(HasSubstr("warning")));
}

TEST_F(RunArgument, OtherDirectoriesAreRefusedWithAWay) {
  const std::string run = small_.at("renamed");
  train({run, "run.dir=" + small_.at("x")}, 2, "the directory of the run to resume");
  train({run, "run.resume=never"}, 5, "already holds a run");
  train({run + "/checkpoints/step-00000003"}, 2, "birkhoff import CHECKPOINT --out RUN");
  train({run + "/log"}, 2, "has no config.yaml");
  std::filesystem::remove(run + "/config.yaml");
  train({run}, 2, "a run directory without a config.yaml");
  EXPECT_FALSE(is_there("x"));
}

// Such files are neither waited for nor followed.
TEST_F(RunArgument, FilesThatAreLinksOrFifosAreRefused) {
  const std::string run = small_.at("renamed");
  spill(small_.at("mine"), "mine");
  for (const std::string name : {"metrics.jsonl", "log/rank-0000.log", "lock"}) {
    const Path file = Path(run) / name;
    std::filesystem::rename(file, small_.at("kept"));
    std::filesystem::create_symlink(small_.at("mine"), file);
    train({run, "train.stop_at=4"}, 5, name + ": it is a symbolic link");
    std::filesystem::remove(file);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    train({run, "train.stop_at=4"}, 5, name + ": it is a FIFO");
    std::filesystem::remove(file);
    std::filesystem::rename(small_.at("kept"), file);
  }
  for (const std::string name : {"config.yaml", "trace/rank-0000.json.partial"}) {
    const Path file = Path(run) / name;
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::remove(file);
    std::filesystem::create_symlink(small_.at("mine"), file);
  }
  train({small_.at("small.yaml"), "run.dir=" + run, "--trace=1"}, 0, "a timeline of each rank");
  EXPECT_EQ(slurp(small_.at("mine")), "mine");
}

TEST_F(RunArgument, DirectoriesMayBeLinksWhereTheyArePlaced) {
  std::filesystem::create_directory(small_.at("big"));
  std::filesystem::rename(small_.at("renamed") + "/checkpoints", small_.at("big/checkpoints"));
  std::filesystem::create_directory_symlink(small_.at("big/checkpoints"),
                                            small_.at("renamed") + "/checkpoints");
  std::filesystem::create_directory_symlink(small_.at("renamed"), small_.at("link"));
  train({small_.at("link")}, 0, "resumed from");
  EXPECT_TRUE(is_there("big/checkpoints/step-00000006"));
  std::filesystem::remove_all(small_.at("renamed") + "/log");
  std::filesystem::create_directory(small_.at("logs"));
  std::filesystem::create_directory_symlink(small_.at("logs"), small_.at("renamed") + "/log");
  train({small_.at("link")}, 5, "it is a symbolic link");
  EXPECT_TRUE(std::filesystem::is_empty(small_.at("logs")));
}

// Runs that end only by a signal.
class MovingRun : public ::testing::Test {
 protected:
  MovingRun()
      : started_({BIRKHOFF_BINARY, "train", small_.at("small.yaml"), "train.steps=1000000",
                  "train.eval_every=0", "checkpoint.every=1000000"}) {}

  static bool says(const std::string& log, const std::string& text) {
    for (int i = 0; i < 600; ++i) {
      std::error_code error;
      if (std::filesystem::exists(log, error) && slurp(log).find(text) != std::string::npos)
        return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  }
  // Expects one line per step without gaps, from step 1 on if `from_the_first`, and a whole
  // checkpoint of the last step.
  void expect_whole(const std::string& run, bool from_the_first) {
    const MetricsLog log = read_metrics(run + "/metrics.jsonl");
    ASSERT_FALSE(log.records.empty());
    if (from_the_first) {
      EXPECT_EQ(log.records.front().step, 1);
    }
    for (size_t i = 1; i < log.records.size(); ++i)
      EXPECT_EQ(log.records[i].step, log.records[i - 1].step + 1);
    Checkpoint::open(Path(run) / "checkpoints" / checkpoint_name(log.records.back().step)).verify();
  }

  const SmallRun small_;
  Started started_;
};

TEST_F(MovingRun, GoesOnWhereItIs) {
  ASSERT_TRUE(appears(small_.at("run/metrics.jsonl"), 60));
  std::filesystem::rename(small_.at("run"), small_.at("moved"));
  std::filesystem::create_directory(small_.at("run"));
  ASSERT_TRUE(says(small_.at("moved/log/rank-0000.log"), "was moved to"));
  ::kill(started_.pid(), SIGTERM);
  const Finished ended = started_.wait(60);
  EXPECT_EQ(ended.code, 75) << ended.err;
  expect_whole(small_.at("moved"), true);
  EXPECT_TRUE(std::filesystem::is_empty(small_.at("run")));
}

TEST_F(MovingRun, IsSavedWhereItsDirectoryIsRemoved) {
  ASSERT_TRUE(appears(small_.at("run/metrics.jsonl"), 60));
  std::filesystem::remove_all(small_.at("run"));
  ASSERT_TRUE(says(small_.at("run/log/rank-0000.log"), "the run continues in the new directory"));
  ASSERT_TRUE(appears(small_.at("run/metrics.jsonl"), 60));
  ::kill(started_.pid(), SIGTERM);
  const Finished ended = started_.wait(60);
  EXPECT_EQ(ended.code, 75) << ended.err;
  expect_whole(small_.at("run"), false);
}

TEST_F(MovingRun, BeginsItsMetricsAnewWhereTheyAreRemoved) {
  ASSERT_TRUE(appears(small_.at("run/metrics.jsonl"), 60));
  std::filesystem::remove(small_.at("run/metrics.jsonl"));
  ASSERT_TRUE(appears(small_.at("run/metrics.jsonl"), 60));
  ::kill(started_.pid(), SIGTERM);
  const Finished ended = started_.wait(60);
  EXPECT_EQ(ended.code, 75) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("was removed during the run"));
  expect_whole(small_.at("run"), false);
}

}  // namespace
}  // namespace birkhoff::testing
