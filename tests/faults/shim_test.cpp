// Tests the shim itself, on the calls of a program that is not ours.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>

#include "tests/faults/disk.h"
#include "tests/faults/recording.h"
#include "tests/faults/save_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Each line prints what it got, or the name of its error.
constexpr const char* kCalls = R"(
import os, sys
os.chdir(sys.argv[1])
def show(f, *a):
    try: print(f(*a), flush=True)
    except OSError as e: print(os.strerror(e.errno), flush=True)
d = None
show(os.mkdir, 'd')                                     # 1
f = os.open('d/f', os.O_WRONLY | os.O_CREAT)            # 2
show(os.write, f, b'0123456789')                        # 3
show(os.pwrite, f, b'ab', 4)                            # 4
show(os.writev, f, [b'', b'xyz', b'more'])              # 5: the first that is not empty
show(os.ftruncate, f, 12)                               # 6
show(os.fsync, f)                                       # 7
show(os.fdatasync, f)                                   # 8
show(os.close, f)                                       # 9
show(os.link, 'd/f', 'd/g')                             # 10
show(os.rename, 'd/g', './h')                           # 11
d = os.open('d', os.O_RDONLY | os.O_DIRECTORY)          # 12
show(os.fsync, d)                                       # 13
show(lambda: os.unlink('f', dir_fd=d))                  # 14
os.close(d)                                             # 15
show(os.rmdir, 'd')                                     # 16
show(os.rmdir, 'nothing')                               # 17
open('/dev/null', 'w').close()                          # elsewhere: not counted
)";

Command python(const Path& directory, const std::string& text = kCalls) {
  return {"/usr/bin/python3", "-c", text, directory.string()};
}

TEST(FaultShim, SeesTheCallsInOrder) {
  const Scratch scratch;
  const Recording seen = record(scratch.path(), python(scratch.path()));
  ASSERT_EQ(seen.finished.code, 0) << seen.finished.err;
  std::vector<std::string> calls;
  for (const FileCall& c : seen.calls)
    calls.push_back(fmt::format("{} {} {} {} {} {}", c.number, c.operation, c.path, c.second,
                                c.operation == "write" ? c.bytes : "", c.offset));
  EXPECT_THAT(calls, ElementsAre("1 mkdir d   0", "2 create d/f w  0", "3 write d/f  0123456789 0",
                                 "4 write d/f  ab 4", "5 write d/f  xyz 10", "6 truncate d/f   12",
                                 "7 flush d/f   0", "8 flush d/f   0", "9 close d/f   0",
                                 "10 link d/f d/g  0", "11 rename d/g h  0", "12 open d   0",
                                 "13 flush d   0", "14 unlink d/f   0", "15 close d   0",
                                 "16 rmdir d   0", "17 rmdir nothing   0"));
  EXPECT_EQ(seen.calls.back().result, -ENOENT);
  EXPECT_EQ(read_tree(scratch.path()), (Tree{{"h", "0123ab6789xy"}}));
}

TEST(FaultShim, FailsTheCallItIsToldTo) {
  for (const size_t at : {1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 16, 17}) {
    const Scratch scratch;
    const Finished ran = run_with({.kind = "fail", .at = at, .error = EDQUOT}, scratch.path(),
                                  python(scratch.path()));
    EXPECT_THAT(ran.out, HasSubstr("Disk quota exceeded")) << at;
  }
  const Scratch scratch;  // an open that fails is an exception in that program
  const Finished ran =
      run_with({.kind = "fail", .at = 2, .error = EROFS}, scratch.path(), python(scratch.path()));
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("Read-only file system"));
}

TEST(FaultShim, AFullDiskStaysFullButFilesCanBeRemoved) {
  const Scratch scratch;
  const Finished ran = run_with({.kind = "fail", .at = 4, .error = ENOSPC, .forever = true},
                                scratch.path(), python(scratch.path()));
  const std::string full = "No space left on device\n";
  // write; pwrite, writev; truncate, flushes, close; link, rename of what was not linked; flush,
  // unlink; rmdir; rmdir of nothing
  EXPECT_EQ(ran.out, "None\n10\n" + full + full + "None\nNone\nNone\nNone\n" + full + full +
                         "None\nNone\nNone\nNo such file or directory\n");
}

TEST(FaultShim, ShortensAndTearsWrites) {
  Scratch one, two;
  EXPECT_THAT(run_with({.kind = "short", .at = 3}, one.path(), python(one.path())).out,
              HasSubstr("None\n5\n2\n3\n"));
  const Finished torn = run_with({.kind = "torn", .at = 3}, two.path(), python(two.path()));
  EXPECT_EQ(torn.code, 128 + 9);
  EXPECT_EQ(read_tree(two.path()), (Tree{{"d", std::nullopt}, {"d/f", "01234"}}));
}

TEST(FaultShim, KillsBeforeAndAfter) {
  const Scratch before, after;
  EXPECT_EQ(run_with({.kind = "kill_before", .at = 1}, before.path(), python(before.path())).code,
            128 + 9);
  EXPECT_EQ(read_tree(before.path()), Tree{});
  EXPECT_EQ(run_with({.kind = "kill_after", .at = 1}, after.path(), python(after.path())).code,
            128 + 9);
  EXPECT_EQ(read_tree(after.path()), (Tree{{"d", std::nullopt}}));
}

TEST(FaultShim, ADiskWithRoomForSoManyBytes) {
  const Scratch scratch;
  const Finished ran = run_with({.room = 11}, scratch.path(), python(scratch.path()));
  EXPECT_THAT(ran.out, HasSubstr("None\n10\n1\nNo space left on device\n"));
  const Scratch other;  // unlinking gives room back
  const Finished again = run_with({.room = 3}, other.path(), python(other.path(), R"(
import os, sys
os.chdir(sys.argv[1])
for n in 'ab':
    f = os.open(n, os.O_WRONLY | os.O_CREAT)
    print(os.write(f, b'123'), flush=True)
    os.close(f)
    os.unlink(n)
)"));
  EXPECT_EQ(again.out, "3\n3\n") << again.err;
}

TEST(FaultShim, LeavesOtherRanksAlone) {
  const Scratch scratch;
  Command command = python(scratch.path());
  command.insert(command.begin(), {"/usr/bin/env", "OMPI_COMM_WORLD_RANK=1"});
  EXPECT_EQ(run_with({.kind = "kill_before", .at = 1, .rank = 0}, scratch.path(), command).code, 0);
  const Scratch other;
  command.back() = other.path().string();
  EXPECT_EQ(run_with({.kind = "kill_before", .at = 1, .rank = 1}, other.path(), command).code,
            128 + 9);
}

// Each rank writes its own file, then renames it to a common name: the recording must have the
// order of the file system.
TEST(FaultShim, RanksOfMpirun) {
  if (::access("/usr/bin/mpirun", X_OK) != 0) GTEST_SKIP() << "mpirun was not found";
  constexpr const char* kRenames = R"(
import os, sys
os.chdir(sys.argv[1])
rank = os.environ['OMPI_COMM_WORLD_RANK']
for turn in range(20):
    f = os.open(rank, os.O_WRONLY | os.O_CREAT)
    os.write(f, f'rank {rank} turn {turn}'.encode())
    os.close(f)
    os.rename(rank, f'last-{turn}')
)";
  const Scratch scratch;
  const Recording seen = record(scratch.path(), over_mpi(2, python(scratch.path(), kRenames)));
  ASSERT_EQ(seen.finished.code, 0) << seen.finished.err;
  Disk disk;
  for (const FileCall& call : seen.calls) disk.apply(call);
  EXPECT_EQ(seen.calls.size(), 2u * 20 * 4);
  EXPECT_TRUE(disk.live() == read_tree(scratch.path()));
  const Scratch other;  // only rank 1 dies, and mpirun ends the other
  const Finished killed = run_with({.kind = "kill_before", .at = 4, .rank = 1}, other.path(),
                                   over_mpi(2, python(other.path(), kRenames)));
  EXPECT_NE(killed.code, 0);
  EXPECT_EQ(slurp(other / "1"), "rank 1 turn 0");
}

// A call that the shim does not see would be missing here.
TEST(FaultShim, ReplayOfASaveIsTheDirectoryThatItMade) {
  const Scratch scratch;
  const Recording saved = record(scratch.path(), save_command(scratch.path()));
  ASSERT_EQ(saved.finished.code, 0) << saved.finished.err;
  Disk disk;
  for (const FileCall& call : saved.calls) disk.apply(call);
  const Tree wanted = read_tree(scratch.path());
  EXPECT_GT(wanted.size(), 8u);
  EXPECT_TRUE(disk.live() == wanted);
}

}  // namespace
}  // namespace birkhoff::testing
