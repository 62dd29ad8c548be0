#include "engine/train/run_directory.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "engine/checkpoint/checkpoint.h"
#include "tests/support/scratch.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Scratch;
using testing::slurp;
using testing::spill;

// A new run, as train() begins one.
RunDirectory create(const Path& path, std::string_view config_yaml) {
  RunDirectory run = RunDirectory::open(path);
  run.require_no_run();
  run.write_config(config_yaml);
  return run;
}

std::string refusal(const Path& path) {
  try {
    create(path, "seed: 2\n");
  } catch (const ResourceError& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "accepted";
}

TEST(RunDirectory, IsMadeWithItsConfig) {
  Scratch scratch;
  const RunDirectory run = create(scratch / "deep/er/run/", "seed: 1\n");
  EXPECT_EQ(slurp(scratch / "deep/er/run/config.yaml"), "seed: 1\n");
  EXPECT_EQ(run.checkpoint(7), scratch / "deep/er/run/checkpoints/step-00000007");
  EXPECT_EQ(run.log(0), scratch / "deep/er/run/log/rank-0000.log");
}

TEST(RunDirectory, ARunIsNeverOverwritten) {
  Scratch scratch;
  const Path path = scratch / "run";
  create(path, "seed: 1\n");
  create(path, "seed: 3\n");  // that one ended before its first step: nothing to lose
  spill(path / "metrics.jsonl", "");
  std::filesystem::create_directory(path / "checkpoints");
  create(path, "seed: 4\n");

  spill(path / "metrics.jsonl", "{");
  EXPECT_THAT(refusal(path), AllOf(HasSubstr(path.string()), HasSubstr("holds a run already"),
                                   HasSubstr("run.dir")));
  std::filesystem::remove(path / "metrics.jsonl");
  EXPECT_EQ(refusal(path), "accepted");
  save_checkpoint(path / "checkpoints/step-00000001", {.step = 1}, {});
  EXPECT_THAT(refusal(path), HasSubstr("holds a run already"));
  std::filesystem::remove_all(path / "checkpoints");
  std::filesystem::create_symlink("/nonexistent", path / "metrics.jsonl");
  EXPECT_THAT(refusal(path), HasSubstr("holds a run already"));
  EXPECT_EQ(slurp(path / "config.yaml"), "seed: 2\n");
}

TEST(RunDirectory, ASecondJobIsToldWhoHoldsIt) {
  Scratch scratch;
  const Path path = scratch / "run";
  std::optional<RunDirectory> first = create(path, "seed: 1\n");
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof host - 1), 0);
  const std::string holder = fmt::format("in use by pid {} on host {};", ::getpid(), host);
  EXPECT_THAT(refusal(path), HasSubstr(holder));
  EXPECT_EQ(slurp(path / "config.yaml"), "seed: 1\n");
  first.reset();
  EXPECT_EQ(refusal(path), "accepted");
}

TEST(RunDirectory, TheLockOfAProcessThatDiedIsFree) {
  Scratch scratch;
  const Path path = scratch / "run";
  const pid_t child = ::fork();
  if (child == 0) {
    const RunDirectory run = create(path, "seed: 1\n");
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(slurp(path / "lock"), HasSubstr(fmt::format("pid {} ", child)));
  EXPECT_EQ(refusal(path), "accepted");
}

TEST(RunDirectory, WhatCannotBeWrittenToIsRefused) {
  Scratch scratch;
  spill(scratch / "file", "");
  EXPECT_THAT(refusal(scratch / "file"), HasSubstr("file"));
  EXPECT_THAT(refusal(scratch / "file/run"), HasSubstr("file/run"));
  EXPECT_THAT(refusal("/proc/no-run"), HasSubstr("/proc/no-run"));
  EXPECT_THAT(refusal(""), HasSubstr("run.dir"));
  std::filesystem::create_directory(scratch / "run");
  std::filesystem::create_symlink(scratch / "victim", scratch / "run/lock");
  EXPECT_THAT(refusal(scratch / "run"), HasSubstr("cannot be written to"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "victim"));
}

TEST(RunDirectory, WithoutTheRightToWrite) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  Scratch scratch;
  std::filesystem::create_directory(scratch / "closed");
  ASSERT_EQ(::chmod((scratch / "closed").c_str(), 0555), 0);
  EXPECT_THAT(refusal(scratch / "closed"), HasSubstr("cannot be written to"));
}

}  // namespace
}  // namespace birkhoff
