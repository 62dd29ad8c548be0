// File systems that cannot lock a file or flush a directory: one warning, and the run continues.
#include <gmock/gmock.h>

#include "engine/checkpoint/checkpoint.h"
#include "tests/faults/recording.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kNotSupported = 524;  // internal to the kernel, but NFS and autofs leak it

size_t count_of(const std::string& text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; ++at) ++n;
  return n;
}

class Guarantees : public ::testing::Test {
 protected:
  Command train(const std::string& stop_at) const {
    return {BIRKHOFF_BINARY,
            "train",
            small_.at("small.yaml"),
            "run.dir=" + (scratch_ / "run").string(),
            "train.stop_at=" + stop_at,
            "train.eval_every=0"};
  }
  // A run from its start, which logs `text` once.
  void expect_warned(const Fault& fault, const std::string& text) {
    std::filesystem::remove_all(scratch_ / "run");
    const Finished ran = run_with(fault, scratch_.path(), train("1"));
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(count_of(ran.err, " warning: "), 1u) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(text));
    Checkpoint::open(scratch_ / "run/checkpoints/step-00000001").verify();
  }

  const SmallRun small_;
  const Scratch scratch_;
};

TEST_F(Guarantees, WithoutLocksARunGoesOnWithOneWarning) {
  for (const int error : {ENOSYS, ENOLCK, ENOTSUP, kNotSupported, EBADF, EINVAL, EIO})
    expect_warned({.no_lock = error}, "nothing prevents a second job");
}

TEST_F(Guarantees, ALockThatIsHeldIsRefused) {
  const Finished ran = run_with({.no_lock = EWOULDBLOCK}, scratch_.path(), train("1"));
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("is in use by another process"));
}

TEST_F(Guarantees, WithoutFlushesOfDirectoriesARunGoesOnWithOneWarning) {
  for (const int error : {EINVAL, ENOTSUP, EBADF, EACCES, EPERM, ENOSYS, kNotSupported})
    expect_warned({.no_directory_flush = error}, "cannot flush the directory");
  const Finished again = run_with({.no_directory_flush = EINVAL}, scratch_.path(), train("2"));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("resumed from"));
}

TEST_F(Guarantees, ADirectoryThatFailsToFlushEndsTheRun) {
  for (const int error : {EIO, ENOSPC}) {
    std::filesystem::remove_all(scratch_ / "run");
    const Finished ran = run_with({.no_directory_flush = error}, scratch_.path(), train("1"));
    EXPECT_EQ(ran.code, 5) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(std::strerror(error)));
  }
}

TEST_F(Guarantees, DatasetsAndImportsGoOnToo) {
  spill(scratch_ / "text.txt", generated_text());
  const std::string set = (scratch_ / "set").string();
  const Finished prepared = run_with(
      {.no_directory_flush = EINVAL}, scratch_.path(),
      {BIRKHOFF_BINARY, "data", "prepare", "--out", set, (scratch_ / "text.txt").string()});
  EXPECT_EQ(prepared.code, 0) << prepared.err;
  EXPECT_EQ(count_of(prepared.err, "cannot flush the directory"), 1u) << prepared.err;
  EXPECT_EQ(birkhoff({"data", "verify", set}).code, 0);
  ASSERT_EQ(run_with({}, scratch_.path(), train("1")).code, 0);
  const Finished imported = run_with({.no_directory_flush = EPERM}, scratch_.path(),
                                     {BIRKHOFF_BINARY, "import", (scratch_ / "run").string(),
                                      "--out", (scratch_ / "imported").string()});
  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_EQ(count_of(imported.err, "cannot flush the directory"), 1u) << imported.err;
}

}  // namespace
}  // namespace birkhoff::testing
