#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dtype.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

TEST(Files, WriteReplacesWhole) {
  const Scratch scratch;
  write_file(scratch / "a", "first");
  write_file(scratch / "a", "second and longer");
  EXPECT_EQ(read_file(scratch / "a", 100), "second and longer");
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch.path()))
    ++files;
  EXPECT_EQ(files, 1u) << "a temporary file was left";
}

TEST(Files, ReadIsBounded) {
  const Scratch scratch;
  write_file(scratch / "a", std::string(100, 'x'));
  EXPECT_EQ(read_file(scratch / "a", 100).size(), 100u);
  EXPECT_THROW(read_file(scratch / "a", 99), ResourceError);
}

TEST(Files, OnlyRegularFiles) {
  const Scratch scratch;
  ASSERT_EQ(mkfifo((scratch / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(read_file(scratch / "fifo", 100), ResourceError);  // and does not wait for a writer
  EXPECT_THROW(read_file(scratch.path(), 100), ResourceError);
  EXPECT_THROW(read_file(scratch / "missing", 100), ResourceError);
}

std::string output_refusal(const Path& path) {
  try {
    ::close(open_output(path, O_WRONLY | O_CREAT | O_APPEND));
  } catch (const ResourceError& e) {
    return e.what();
  }
  return "opened";
}

// None of these files is waited for, followed or changed.
TEST(Files, AnOutputIsARegularFile) {
  const Scratch scratch;
  spill(scratch / "mine", "mine");
  std::filesystem::create_symlink(scratch / "mine", scratch / "link");
  std::filesystem::create_symlink(scratch / "none", scratch / "dangling");
  ASSERT_EQ(mkfifo((scratch / "fifo").c_str(), 0600), 0);
  ASSERT_EQ(mknod((scratch / "socket").c_str(), S_IFSOCK | 0600, 0), 0);
  std::filesystem::create_directory(scratch / "directory");
  for (const auto& [name, kind] : {std::pair{"link", "is a symbolic link"},
                                   {"dangling", "is a symbolic link"},
                                   {"fifo", "is a FIFO"},
                                   {"socket", "is a socket"},
                                   {"directory", "is a directory"}}) {
    EXPECT_NE(output_refusal(scratch / name).find(kind), std::string::npos) << name;
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::symlink_status(scratch / name)));
  }
  EXPECT_NE(output_refusal("/dev/null").find("is a device"), std::string::npos);
  EXPECT_EQ(slurp(scratch / "mine"), "mine");
  EXPECT_FALSE(std::filesystem::exists(scratch / "none"));
  EXPECT_EQ(output_refusal(scratch / "mine"), "opened");
  EXPECT_EQ(output_refusal(scratch / "new"), "opened");
}

TEST(Files, AnOwnDirectoryIsNoLink) {
  const Scratch scratch;
  make_own_directory(scratch / "a");
  make_own_directory(scratch / "a");
  std::filesystem::create_directory_symlink(scratch / "a", scratch / "link");
  EXPECT_THROW(make_own_directory(scratch / "link"), ResourceError);
  spill(scratch / "file", "");
  EXPECT_THROW(make_own_directory(scratch / "file"), ResourceError);
}

TEST(Files, OtherNamesKeepTheirContent) {
  const Scratch scratch;
  spill(scratch / "a", "text");
  std::filesystem::create_hard_link(scratch / "a", scratch / "b");
  detach_hard_links(scratch / "b");
  EXPECT_EQ(slurp(scratch / "b"), "text");
  File(open_output(scratch / "b", O_WRONLY | O_APPEND), scratch / "b")
      .write(std::as_bytes(std::span("more", 4)));
  EXPECT_EQ(slurp(scratch / "b"), "textmore");
  EXPECT_EQ(slurp(scratch / "a"), "text");
  detach_hard_links(scratch / "missing");
  EXPECT_FALSE(std::filesystem::exists(scratch / "missing"));
}

TEST(Printable, EscapesWhatCouldHarmALog) {
  EXPECT_EQ(printable("a b"), "a b");
  EXPECT_EQ(printable("a\n\x1b[31m\xff"), "a\\x0a\\x1b[31m\\xff");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

// Every f32 whose lower half is near a tie, against the definition: the nearest bf16, ties to even.
TEST(Bf16, RoundsToNearestEven) {
  for (uint32_t high = 0; high < 0x7F80; high += 7)
    for (const uint32_t low : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      const float x = std::bit_cast<float>(high << 16 | low);
      const bool up = low > 0x8000 || (low == 0x8000 && high % 2 == 1);
      EXPECT_EQ(to_bf16(x).bits, high + up) << x;
      EXPECT_EQ(to_bf16(-x).bits, (high + up) | 0x8000) << -x;
    }
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::nanf("")))));
  EXPECT_EQ(to_float(to_bf16(INFINITY)), INFINITY);
}

}  // namespace
}  // namespace birkhoff::testing
