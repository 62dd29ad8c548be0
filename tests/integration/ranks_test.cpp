// Runs of several ranks, as a user starts them: through launch/mpirun.sh.
#include <gmock/gmock.h>

#include "tests/support/run_results.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class MpiRun : public ::testing::Test {
 protected:
  // Four micro-batches per step, in four groups; the last micro-batch is half padding.
  Finished train(int ranks, const std::string& run, std::vector<std::string> overrides = {},
                 int seconds = 120) {
    std::vector<std::string> command = {BIRKHOFF_SOURCE_DIR "/launch/mpirun.sh",
                                        "-np",
                                        std::to_string(ranks),
                                        BIRKHOFF_BINARY,
                                        "train",
                                        small_.at("small.yaml"),
                                        "run.dir=" + small_.at(run),
                                        "train.global_batch=7",
                                        "train.reduction_groups=4"};
    command.insert(command.end(), overrides.begin(), overrides.end());
    return run_program(command, seconds);
  }
  Path path(const std::string& run) const { return small_.at(run); }

  SmallRun small_;
};

TEST_F(MpiRun, OneTwoAndFourRanksGiveTheSameBits) {
  const std::vector<std::string> longer = {"train.steps=50", "train.eval_every=20",
                                           "checkpoint.every=25"};
  const Finished one = train(1, "one", longer);
  ASSERT_EQ(one.code, 0) << one.err;
  const auto want = results_of(path("one"));
  ASSERT_EQ(want.size(), 3u);
  for (const int ranks : {2, 4}) {
    const std::string run = std::to_string(ranks);
    const Finished done = train(ranks, run, longer);
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(differences(results_of(path(run)), want), "") << ranks << " ranks";
    EXPECT_TRUE(std::filesystem::exists(path(run) / "log/rank-0001.log"));
  }
}

TEST_F(MpiRun, ARunGoesOnWithAnyNumberOfRanks) {
  ASSERT_EQ(train(1, "whole").code, 0);
  const auto want = results_of(path("whole"));
  // 1, then 2, then 4 ranks, two steps each: the last state is saved at each stop.
  int ranks[] = {1, 2, 4};
  for (int part = 0; part < 3; ++part) {
    const Finished done =
        train(ranks[part], "parts", {"train.stop_at=" + std::to_string(2 * part + 2)});
    ASSERT_EQ(done.code, 0) << done.err;
  }
  auto got = results_of(path("parts"));
  got.erase("step-00000002"), got.erase("step-00000004");
  auto wanted = want;
  wanted.erase("step-00000003"), got.erase("step-00000003");
  EXPECT_EQ(differences(got, wanted), "");
}

TEST_F(MpiRun, WhatDoesNotFitIsRefusedOnce) {
  const Finished three = train(3, "run");
  EXPECT_EQ(three.code, 2) << three.err;
  EXPECT_THAT(three.err, HasSubstr("train.reduction_groups: 4 groups cannot be shared by 3 ranks"));
  const size_t first = three.err.find("train.reduction_groups:");
  EXPECT_EQ(three.err.find("train.reduction_groups:", first + 1), std::string::npos) << three.err;
  const Finished many = train(5, "run", {"train.reduction_groups=1"});
  EXPECT_EQ(many.code, 2);
  EXPECT_THAT(many.err, HasSubstr("4 micro-batches cannot be shared by 5 ranks"));
  EXPECT_FALSE(std::filesystem::exists(path("run")));
}

// Each rank is a different command line of one mpirun.
TEST_F(MpiRun, RanksWithOtherConfigsOrDataAreNamed) {
  const auto pair = [&](const std::string& a, const std::string& b) {
    const std::vector<std::string> rank = {BIRKHOFF_BINARY, "train", small_.at("small.yaml"),
                                           "run.dir=" + small_.at("run")};
    std::vector<std::string> command = {BIRKHOFF_SOURCE_DIR "/launch/mpirun.sh", "-np", "1"};
    command.insert(command.end(), rank.begin(), rank.end());
    command.insert(command.end(), {a, ":", "-np", "1"});
    command.insert(command.end(), rank.begin(), rank.end());
    command.push_back(b);
    return run_program(command, 60);
  };
  const Finished config = pair("optim.lr=0.01", "optim.lr=0.02");
  EXPECT_EQ(config.code, 2) << config.err;
  EXPECT_THAT(config.err, AllOf(HasSubstr("ranks 0 and 1 have different configs"),
                                HasSubstr("0.01"), HasSubstr("0.02")));
  spill(small_.at("text"), generated_text() + "one more document.\n");
  ASSERT_EQ(birkhoff({"data", "prepare", "--out", small_.at("other"), "--split", "blank-line",
                      small_.at("text")})
                .code,
            0);
  const Finished data = pair("data.path=" + small_.at("set"), "data.path=" + small_.at("other"));
  EXPECT_EQ(data.code, 3) << data.err;
  EXPECT_THAT(data.err, HasSubstr("ranks 0 and 1 see different data"));
  EXPECT_FALSE(std::filesystem::exists(path("run")));
}

}  // namespace
}  // namespace birkhoff::testing
