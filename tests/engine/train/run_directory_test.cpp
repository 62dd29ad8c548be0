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
  EXPECT_THAT(refusal(path), AllOf(HasSubstr(path.string()), HasSubstr("already holds a run"),
                                   HasSubstr("run.dir")));
  std::filesystem::remove(path / "metrics.jsonl");
  EXPECT_EQ(refusal(path), "accepted");
  save_checkpoint(path / "checkpoints/step-00000001", {.step = 1}, {});
  EXPECT_THAT(refusal(path), HasSubstr("already holds a run"));
  std::filesystem::remove_all(path / "checkpoints");
  std::filesystem::create_symlink("/nonexistent", path / "metrics.jsonl");
  EXPECT_THAT(refusal(path), HasSubstr("already holds a run"));
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

TEST(RunDirectory, ALinkToADirectoryIsFollowedAndOtherThingsAreNot) {
  Scratch scratch;
  std::filesystem::create_directory(scratch / "big");
  std::filesystem::create_directory_symlink(scratch / "big", scratch / "run");
  create(scratch / "run", "seed: 1\n");
  EXPECT_EQ(slurp(scratch / "big/config.yaml"), "seed: 1\n");
  for (const bool link : {false, true}) {
    std::filesystem::remove(scratch / "big/lock");
    if (link)
      std::filesystem::create_symlink(scratch / "mine", scratch / "big/lock");
    else
      ASSERT_EQ(mkfifo((scratch / "big/lock").c_str(), 0600), 0);
    EXPECT_THAT(refusal(scratch / "run"), HasSubstr(link ? "is a symbolic link" : "is a FIFO"));
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "mine"));
}

using Moved = RunDirectory::Moved;

TEST(RunDirectory, IsFollowedWhereItIsMoved) {
  Scratch scratch;
  RunDirectory run = create(scratch / "run", "seed: 1\n");
  EXPECT_EQ(run.follow().how, Moved::no);
  std::filesystem::rename(scratch / "run", scratch / "moved");
  const Moved moved = run.follow();
  EXPECT_EQ(moved.how, Moved::renamed);
  EXPECT_THAT(moved.text, AllOf(HasSubstr((scratch / "run").string()),
                                HasSubstr((scratch / "moved").string())));
  EXPECT_EQ(run.path(), std::filesystem::canonical(scratch / "moved"));
  EXPECT_EQ(run.follow().how, Moved::no);
  EXPECT_THAT(refusal(scratch / "moved"), HasSubstr("is in use"));  // its lock went with it
  // Again, and another run takes its place.
  std::filesystem::rename(scratch / "moved", scratch / "again");
  create(scratch / "moved", "seed: 2\n");
  EXPECT_EQ(run.follow().how, Moved::renamed);
  EXPECT_EQ(run.path(), std::filesystem::canonical(scratch / "again"));
  // A parent is renamed; a link to it leads elsewhere.
  std::filesystem::create_directory(scratch / "parent");
  std::filesystem::create_directory_symlink(scratch / "parent", scratch / "link");
  RunDirectory linked = create(scratch / "link/run", "seed: 3\n");
  EXPECT_EQ(linked.follow().how, Moved::no);
  std::filesystem::rename(scratch / "parent", scratch / "other");
  EXPECT_EQ(linked.follow().how, Moved::renamed);
  EXPECT_EQ(linked.path(), std::filesystem::canonical(scratch / "other/run"));
}

TEST(RunDirectory, IsMadeAnewWhereItIsRemoved) {
  Scratch scratch;
  const Path path = scratch / "run";
  RunDirectory run = create(path, "seed: 1\n");
  std::filesystem::remove_all(path);
  EXPECT_EQ(run.follow().how, Moved::anew);
  EXPECT_EQ(run.path(), path);
  EXPECT_THAT(refusal(path), HasSubstr("is in use"));
  EXPECT_EQ(run.follow().how, Moved::no);
  // What another job has put there is not touched.
  std::filesystem::remove_all(path);
  std::filesystem::create_directory(path);
  spill(path / "mine", "mine");
  EXPECT_EQ(run.follow().how, Moved::anew);
  EXPECT_EQ(run.path(), scratch / "run-2");
  EXPECT_EQ(slurp(path / "mine"), "mine");
  EXPECT_FALSE(std::filesystem::exists(path / "lock"));
}

}  // namespace
}  // namespace birkhoff
