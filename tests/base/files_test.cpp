#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

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
  EXPECT_THROW(MappedFile(scratch / "fifo"), ResourceError);
}

TEST(Files, MapsWhatWasWritten) {
  const Scratch scratch;
  write_file(scratch / "a", "mapped");
  write_file(scratch / "empty", "");
  const MappedFile file(scratch / "a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()),
            "mapped");
  EXPECT_TRUE(MappedFile(scratch / "empty").bytes().empty());
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
