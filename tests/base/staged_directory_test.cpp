#include "base/staged_directory.h"

#include <gmock/gmock.h>

#include "tests/support/scratch.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;
using testing::Scratch;
using testing::slurp;
using testing::spill;

std::string refusal(const Path& path) {
  try {
    const StagedDirectory staged(path);
    return "accepted";
  } catch (const ResourceError& e) {
    return e.what();
  }
}

TEST(StagedDirectory, IsThereWholeOrNotAtAll) {
  const Scratch scratch;
  const Path path = scratch / "new" / "out";
  {
    StagedDirectory staged(path);
    spill(staged.aside() / "file", "x");
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_TRUE(std::filesystem::is_empty(path.parent_path()));
  StagedDirectory staged(path.string() + "/");
  spill(staged.aside() / "file", "y");
  staged.commit();
  EXPECT_EQ(slurp(path / "file"), "y");
  EXPECT_FALSE(std::filesystem::exists(staged.aside()));
}

TEST(StagedDirectory, OverwritesNothing) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "empty");
  spill(scratch / "file", "x");
  std::filesystem::create_symlink(scratch / "nowhere", scratch / "link");
  for (const char* name : {"empty", "file", "link"})
    EXPECT_THAT(refusal(scratch / name), HasSubstr("already exists and is never overwritten"));
  for (const char* name : {"", ".", "..", "/", "a/.."})
    EXPECT_THAT(refusal(name), HasSubstr("is not a valid name for a new directory")) << name;
  {
    StagedDirectory staged(scratch / "race");
    std::filesystem::create_directory(scratch / "race");
    EXPECT_THROW(staged.commit(), ResourceError);
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / ".race.partial"));
}

TEST(StagedDirectory, WhatAnotherIsFillingStays) {
  const Scratch scratch;
  const StagedDirectory first(scratch / "out");
  spill(first.aside() / "file", "x");
  EXPECT_THAT(refusal(scratch / "out"), HasSubstr("if no such process runs, remove it"));
  EXPECT_EQ(slurp(first.aside() / "file"), "x");
}

// A process that was killed holds no lock.
TEST(StagedDirectory, WhatAKilledProcessLeftIsRemoved) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / ".out.partial" / "checkpoints");
  spill(scratch / ".out.partial" / "checkpoints" / "old", "x");
  StagedDirectory staged(scratch / "out");
  spill(staged.aside() / "file", "y");
  staged.commit();
  EXPECT_EQ(slurp(scratch / "out" / "file"), "y");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out" / "checkpoints"));
}

TEST(StagedDirectory, AFileOrLinkAsideIsNotOurs) {
  const Scratch scratch;
  spill(scratch / ".file.partial", "x");
  std::filesystem::create_directory(scratch / "mine");
  spill(scratch / "mine" / "file", "x");
  std::filesystem::create_symlink(scratch / "mine", scratch / ".link.partial");
  for (const char* name : {"file", "link"})
    EXPECT_THAT(refusal(scratch / name), HasSubstr("if no such process runs, remove it"));
  EXPECT_EQ(slurp(scratch / ".file.partial"), "x");
  EXPECT_EQ(slurp(scratch / "mine" / "file"), "x");
}

}  // namespace
}  // namespace birkhoff
