// The replayer against trees worked out by hand from its model.
#include "tests/faults/disk.h"

#include <gmock/gmock.h>

namespace birkhoff::testing {
namespace {

using ::testing::UnorderedElementsAre;

FileCall call(const std::string& operation, const std::string& path,
              const std::string& second = "") {
  return {.operation = operation, .path = path, .second = second};
}
FileCall write(const std::string& path, size_t offset, const std::string& bytes) {
  return {.operation = "write", .path = path, .offset = offset, .bytes = bytes};
}

Disk after(const std::vector<FileCall>& calls, const Tree& before = {}) {
  Disk disk(before);
  for (const FileCall& c : calls) disk.apply(c);
  return disk;
}

const Tree kNothing = {};
const auto kDirectory = std::optional<std::string>();

TEST(DiskAfterACut, MayHoldAnUnflushedFileInAnyState) {
  const Disk disk = after({call("create", "f"), write("f", 0, "abcde")});
  EXPECT_EQ(disk.live(), (Tree{{"f", "abcde"}}));
  EXPECT_THAT(disk.after_cut(),
              UnorderedElementsAre(kNothing, Tree{{"f", ""}}, Tree{{"f", "ab"}},
                                   Tree{{"f", std::string(5, '\0')}}, Tree{{"f", "abcde"}}));
}

TEST(DiskAfterACut, MayHaveLostTheNameOfAFlushedFile) {
  const Disk disk = after({call("create", "f"), write("f", 0, "abc"), call("flush", "f")});
  EXPECT_THAT(disk.after_cut(), UnorderedElementsAre(kNothing, Tree{{"f", "abc"}}));
}

TEST(DiskAfterACut, MayHoldANameWithoutItsBytes) {
  const Disk disk = after({call("create", "f"), write("f", 0, "abcd"), call("flush", ".")});
  EXPECT_THAT(disk.after_cut(),
              UnorderedElementsAre(Tree{{"f", ""}}, Tree{{"f", "ab"}},
                                   Tree{{"f", std::string(4, '\0')}}, Tree{{"f", "abcd"}}));
}

TEST(DiskAfterACut, HoldsWhatWasFlushedAndNamed) {
  const Disk disk =
      after({call("create", "f"), write("f", 0, "abc"), call("flush", "f"), call("flush", ".")});
  EXPECT_THAT(disk.after_cut(), UnorderedElementsAre(Tree{{"f", "abc"}}));
}

TEST(DiskAfterACut, RenamesWithinADirectoryAtOnceOrNotAtAll) {
  const Disk disk = after({call("rename", "a", "b")}, {{"a", "new"}, {"b", "old"}});
  EXPECT_THAT(disk.after_cut(),
              UnorderedElementsAre(Tree{{"a", "new"}, {"b", "old"}}, Tree{{"b", "new"}}));
}

TEST(DiskAfterACut, MayDoHalfOfARenameBetweenDirectories) {
  const Tree before = {{"a", "x"}, {"d", kDirectory}};
  const Disk disk = after({call("rename", "a", "d/b")}, before);
  EXPECT_THAT(disk.after_cut(),
              UnorderedElementsAre(before, Tree{{"d", kDirectory}},
                                   Tree{{"a", "x"}, {"d", kDirectory}, {"d/b", "x"}},
                                   Tree{{"d", kDirectory}, {"d/b", "x"}}));
}

// The fault of a save that does not flush its directory: the new name, with nothing in it.
TEST(DiskAfterACut, MayHoldARenamedDirectoryWithoutItsFiles) {
  const Disk disk =
      after({call("mkdir", "aside"), call("create", "aside/f"), write("aside/f", 0, "x"),
             call("flush", "aside/f"), call("rename", "aside", "done"), call("flush", ".")});
  EXPECT_THAT(disk.after_cut(), UnorderedElementsAre(Tree{{"done", kDirectory}},
                                                     Tree{{"done", kDirectory}, {"done/f", "x"}}));
}

TEST(DiskAfterACut, MayRemoveFilesBeforeTheRenameThatHidThem) {
  const Tree before = {{"d", kDirectory}, {"d/f", "x"}};
  const Disk disk = after({call("rename", "d", "gone"), call("unlink", "gone/f")}, before);
  EXPECT_THAT(disk.after_cut(),
              UnorderedElementsAre(before, Tree{{"d", kDirectory}}, Tree{{"gone", kDirectory}},
                                   Tree{{"gone", kDirectory}, {"gone/f", "x"}}));
}

TEST(DiskAfterACut, MayCutAFileAndNotYetFillIt) {
  FileCall cut = call("truncate", "f");
  cut.offset = 1;
  const Disk disk = after({cut, write("f", 1, "YZ")}, {{"f", "abc"}});
  EXPECT_THAT(disk.after_cut(),
              UnorderedElementsAre(Tree{{"f", "abc"}}, Tree{{"f", "aY"}},
                                   Tree{{"f", std::string("a\0\0", 3)}}, Tree{{"f", "aYZ"}}));
}

TEST(DiskAfterACut, IsAsBeforeWhereCallsFailed) {
  FileCall failed = call("create", "f");
  failed.result = -28;
  EXPECT_THAT(after({failed}).after_cut(), UnorderedElementsAre(kNothing));
}

TEST(DiskAfterACut, LinksAreNamesOfOneFile) {
  const Disk disk = after({call("link", "f", "g"), call("flush", "."), write("g", 1, "Z"),
                           call("flush", "f"), call("unlink", "f"), call("flush", ".")},
                          {{"f", "ab"}});
  EXPECT_THAT(disk.after_cut(), UnorderedElementsAre(Tree{{"g", "aZ"}}));
}

}  // namespace
}  // namespace birkhoff::testing
