#include "base/temporary.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/scratch.h"

namespace birkhoff {
namespace {

using testing::Scratch;
using testing::slurp;
using testing::spill;

void make_tree(const Path& path) {
  std::filesystem::create_directories(path / "a" / "b");
  for (int i = 0; i < 200; ++i)  // more entries than one directory buffer holds
    spill(path / "a" / ("a file with a long name, so that few fit " + std::to_string(i)), "x");
  spill(path / "a" / "b" / "c", "x");
}

TEST(Temporary, IsRemovedUnlessReleased) {
  const Scratch scratch;
  spill(scratch / "outside", "x");
  {
    const Temporary file(scratch / "file"), tree(scratch / "tree"), nothing(scratch / "nothing");
    Temporary kept(scratch / "kept");
    spill(file.path(), "x");
    spill(kept.path(), "x");
    make_tree(tree.path());
    std::filesystem::create_symlink(scratch / "outside", tree.path() / "link");
    std::filesystem::create_directory_symlink(scratch.path(), tree.path() / "a" / "up");
    kept.release();
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "file"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "tree"));
  EXPECT_EQ(slurp(scratch / "kept"), "x");
  EXPECT_EQ(slurp(scratch / "outside"), "x");
}

// Exit status of a child that has made temporaries and then receives `signal`.
int end_of_child(const Path& directory, int signal, bool ignored) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(signal, ignored ? SIG_IGN : SIG_DFL);
    remove_temporaries_on_signals();
    const Temporary file(directory / "file"), tree(directory / "tree");
    Temporary kept(directory / "kept");
    spill(file.path(), "x");
    spill(kept.path(), "x");
    make_tree(tree.path());
    kept.release();
    std::vector<std::unique_ptr<Temporary>> many;  // more than can be registered
    for (int i = 0; i < 100; ++i) many.push_back(std::make_unique<Temporary>(directory / "none"));
    {
      const DelaySignals whole;
      ::raise(signal);
      spill(directory / "after", "x");  // the signal is still delayed
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(Temporary, IsRemovedBySignalsThatEndTheProcess) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Scratch scratch;
    const int status = end_of_child(scratch.path(), signal, false);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
    EXPECT_FALSE(std::filesystem::exists(scratch / "file"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "tree"));
    EXPECT_TRUE(std::filesystem::exists(scratch / "kept"));
    EXPECT_TRUE(std::filesystem::exists(scratch / "after"));
  }
}

TEST(Temporary, SignalsThatWereIgnoredStayIgnored) {
  const Scratch scratch;
  const int status = end_of_child(scratch.path(), SIGHUP, true);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Temporary, DeadOnesGoAndOthersStay) {
  const Scratch scratch;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  const std::string dead = (scratch / "out.tmp-").string() + std::to_string(child);
  spill(dead, "x");
  spill(scratch / "out.tmp-1", "of a process that lives");
  std::filesystem::create_symlink(scratch / "out.tmp-1", scratch / "out.tmp-2147483647");
  remove_dead_temporaries(scratch / "out");
  EXPECT_FALSE(std::filesystem::exists(dead));
  EXPECT_TRUE(std::filesystem::exists(scratch / "out.tmp-1"));
  EXPECT_TRUE(std::filesystem::is_symlink(scratch / "out.tmp-2147483647"));
  remove_dead_temporaries(scratch / "no directory" / "out");

  const auto file = create_temporary(temporary_path(scratch / "new"));
  remove_dead_temporaries(scratch / "new");  // it is locked
  EXPECT_TRUE(std::filesystem::exists(temporary_path(scratch / "new")));
  EXPECT_THROW(create_temporary(temporary_path(scratch / "new")), ResourceError);
}

}  // namespace
}  // namespace birkhoff
