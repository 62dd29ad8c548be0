#include "base/log.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/directory.h"
#include "tests/support/scratch.h"

namespace birkhoff {
namespace {

using ::testing::MatchesRegex;
using testing::Scratch;
using testing::slurp;
using testing::spill;

TEST(Log, OneEscapedLineForEachMessage) {
  Scratch scratch;
  const Path file = scratch / "log/rank-0003.log";
  ::testing::internal::CaptureStderr();
  init_log({.rank = 3, .level = LogLevel::info, .file = file});
  log_debug("not shown");
  log_info("a {} of {}", "step", 7);
  log_warning("quoted: {}", "\x1b[31m\nrank 0 info: forged");
  log_error("{}{{}}", std::string(10'000, 'x'));
  const std::string text = slurp(file);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), text);
  init_log({});
  const std::string time = "[0-9]+-[0-9]+-[0-9]+ [0-9]+:[0-9]+:[0-9]+\\.[0-9]+";
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    lines.push_back(text.substr(at, text.find('\n', at) - at));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], MatchesRegex(time + " rank 3 info: a step of 7"));
  EXPECT_THAT(lines[1],
              MatchesRegex(time + " rank 3 warning: quoted: .x1b.31m.x0arank 0 info: forged"));
  EXPECT_THAT(lines[2], MatchesRegex(time + " rank 3 error: x+\\.\\.\\."));
  EXPECT_LT(lines[2].size(), 4100u);
}

TEST(Log, AFileThatCannotBeOpened) {
  EXPECT_THROW(init_log({.file = "/proc/no/such.log"}), ResourceError);
  EXPECT_THROW(init_log({.file = "/"}), ResourceError);
  Scratch scratch;
  spill(scratch / "mine", "mine");
  std::filesystem::create_directory(scratch / "log");
  ASSERT_EQ(mkfifo((scratch / "log/fifo.log").c_str(), 0600), 0);
  std::filesystem::create_symlink(scratch / "mine", scratch / "log/link.log");
  std::filesystem::create_directory_symlink(scratch / "log", scratch / "linked");
  for (const char* name : {"log/fifo.log", "log/link.log", "linked/a.log"})
    EXPECT_THROW(init_log({.file = scratch / name}), ResourceError) << name;
  EXPECT_EQ(slurp(scratch / "mine"), "mine");
  EXPECT_FALSE(std::filesystem::exists(scratch / "log/a.log"));
}

}  // namespace
}  // namespace birkhoff
