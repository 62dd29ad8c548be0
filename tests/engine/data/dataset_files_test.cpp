// What a dataset may replace: its own files, on purpose, and nothing else.
#include "engine/data/dataset_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "base/hash.h"
#include "base/temporary.h"
#include "engine/data/prepare.h"
#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

std::string refusal(const Path& prefix, const std::vector<Path>& inputs, bool overwrite) {
  return data_error([&] { check_dataset_outputs(prefix, inputs, overwrite); });
}

TEST(DatasetFiles, AnyThatExistsIsRefusedWithoutOverwrite) {
  const Scratch dir;
  EXPECT_EQ(refusal(dir / "d", {}, false), "");
  EXPECT_EQ(refusal(dir / "new/d", {}, false), "");
  for (const Path& path : dataset_files(dir / "d")) {
    put(path, "x");
    EXPECT_THAT(refusal(dir / "d", {}, false), HasSubstr(path.string() + " exists")) << path;
    std::filesystem::remove(path);
    std::filesystem::create_symlink(dir / "nowhere", path);
    EXPECT_THAT(refusal(dir / "d", {}, false), HasSubstr(path.string() + " exists")) << path;
    std::filesystem::remove(path);
  }
}

TEST(DatasetFiles, OverwriteReplacesADatasetAlone) {
  const Scratch dir;
  EXPECT_EQ(refusal(dir / "d", {}, true), "");
  write_dataset(dir / "d", {{1, 256}});
  EXPECT_EQ(refusal(dir / "d", {}, true), "");
  std::filesystem::remove(dir / "d.json");  // like Megatron's
  EXPECT_EQ(refusal(dir / "d", {}, true), "");
  put(dir / "d.json", "{\"text\": \"mine\"}\n");
  EXPECT_THAT(refusal(dir / "d", {}, true), HasSubstr("d.json exists and is not the manifest"));
  write_dataset(dir / "e", {{1, 256}});
  std::filesystem::remove(dir / "e.idx");  // killed before the last rename
  EXPECT_EQ(refusal(dir / "e", {}, true), "");
  put(dir / "e.idx", "MMIDIDX, my notes");
  EXPECT_THAT(refusal(dir / "e", {}, true), HasSubstr("e.idx exists and is not the index"));
  put(dir / "f.bin", "mine");
  EXPECT_THAT(refusal(dir / "f", {}, true), HasSubstr("f.bin exists and is not part of"));
  std::filesystem::remove(dir / "f.bin");
  write_dataset(dir / "f", {{1, 256}});
  std::filesystem::rename(dir / "f.bin", dir / "elsewhere");
  std::filesystem::create_symlink(dir / "elsewhere", dir / "f.bin");
  EXPECT_THAT(refusal(dir / "f", {}, true), HasSubstr("f.bin exists and is not a regular file"));
}

// A tokenizer.json is replaced if the dataset's manifest has its hash; another file is the user's
// own.
TEST(DatasetFiles, OverwriteReplacesTheTokenizerThatTheManifestNotes) {
  const Scratch dir;
  write_dataset(dir / "d", {{1, 256}});
  const std::string foreign =
      "d.tokenizer.json exists and is not the tokenizer of an existing dataset";
  put(dir / "d.tokenizer.json", "old");
  EXPECT_THAT(refusal(dir / "d", {}, true), HasSubstr(foreign));
  DatasetManifest manifest = *read_dataset_manifest(dir / "d.json");
  for (const std::string noted : {"old", "new"}) {
    manifest.tokenizer.hash = hash128(std::as_bytes(std::span(noted)));
    put(dir / "d.json", to_json(manifest));
    EXPECT_EQ(refusal(dir / "d", {}, true).find(foreign) != std::string::npos, noted == "new");
  }
}

TEST(DatasetFiles, NoInputIsAnOutputByAnyName) {
  const Scratch dir;
  std::filesystem::create_directory(dir / "sub");
  for (const Path& path : dataset_files(dir / "d")) {
    std::filesystem::remove(dir / "d.tokenizer.json");
    write_dataset(dir / "d", {{1, 256}});
    put(dir / "d.tokenizer.json", "{}");
    const Path link = dir / "link", hard = dir / "hard";
    std::filesystem::create_symlink(path, link);
    std::filesystem::create_hard_link(path, hard);
    std::filesystem::create_directory_symlink(dir.path(), dir / "sub/again");
    for (const Path& input :
         {path, link, hard, dir / "sub/.." / path.filename(), dir / "sub/again" / path.filename()})
      for (const bool overwrite : {false, true})
        EXPECT_THAT(refusal(dir / "d", {dir / "other", input}, overwrite), HasSubstr("is an input"))
            << input;
    for (const Path& name : {link, hard, dir / "sub/again"}) std::filesystem::remove(name);
  }
  // The same for a temporary name.
  put(temporary_path(dir / "new.bin"), "mine");
  EXPECT_THAT(refusal(dir / "new", {temporary_path(dir / "new.bin")}, false),
              HasSubstr("is an input"));
}

TEST(DatasetFiles, PrepareRefusesBeforeItReads) {
  const Scratch dir;
  put(dir / "corpus.json", "{\"text\": \"a\"}\n");
  PrepareOptions options{.out = dir / "corpus", .files = {dir / "corpus.json", dir / "missing"}};
  for (const bool overwrite : {false, true}) {
    options.overwrite = overwrite;
    EXPECT_THAT(data_error([&] { prepare(options, ByteTokenizer(), {}); }),
                HasSubstr("is an input"));
  }
  EXPECT_EQ(read_file(dir / "corpus.json", 100), "{\"text\": \"a\"}\n");
}

TEST(DatasetFiles, WhatKilledWritersLeftGoes) {
  const Scratch dir;
  put(dir / "in.txt", "text");
  const std::vector<std::string> dead = {"d.bin.tmp-2147483646", "d.idx.tmp-2147483646",
                                         "d.json.tmp-2147483645"};
  const std::vector<std::string> other = {
      "d.bin.tmp-1",           "d.bin.tmp-2147483646x", "d.bin.tmp-",
      "d.bin.tmp-02147483646", "xd.bin.tmp-2147483646", "d.txt.tmp-2147483646",
      "d.bin.tmp-99999999999"};
  for (const std::string& name : dead) put(dir / name, "x");
  for (const std::string& name : other) put(dir / name, "x");
  put(dir / "d.json.tmp-2147483644", "an input");
  put(dir / "d.idx.tmp-2147483643", "locked by a process of another host");
  const File locked(dir / "d.idx.tmp-2147483643", O_RDONLY);
  ASSERT_EQ(lock_file(locked.descriptor()), FileLock::held);
  prepare({.out = dir / "d", .files = {dir / "in.txt", dir / "d.json.tmp-2147483644"}},
          ByteTokenizer(), {});
  for (const std::string& name : dead) EXPECT_FALSE(std::filesystem::exists(dir / name)) << name;
  for (const std::string& name : other) EXPECT_TRUE(std::filesystem::exists(dir / name)) << name;
  EXPECT_TRUE(std::filesystem::exists(dir / "d.json.tmp-2147483644"));
  EXPECT_TRUE(std::filesystem::exists(dir / "d.idx.tmp-2147483643"));
}

TEST(Prepare, SkipsSoManyBadLines) {
  const Scratch dir;
  put(dir / "a.jsonl", "{\"text\": \"a\"}\n{\n{\"text\": 1}\n");
  put(dir / "b.jsonl", "x\n{\"text\": \"b\"}\n");
  PrepareOptions options{.out = dir / "d", .files = {dir / "a.jsonl", dir / "b.jsonl"}};
  for (options.skip_bad = 0; options.skip_bad < 3; ++options.skip_bad) {
    const std::string wrong = data_error([&] { prepare(options, ByteTokenizer(), {}); });
    EXPECT_THAT(wrong, HasSubstr(options.skip_bad == 2 ? "b.jsonl:1: " : "a.jsonl:"));
    if (options.skip_bad > 0) {
      EXPECT_THAT(wrong, HasSubstr(fmt::format("{} bad lines were skipped", options.skip_bad)));
    }
    EXPECT_FALSE(std::filesystem::exists(dir / "d.bin"));
  }
  const PrepareCounts counts = prepare(options, ByteTokenizer(), {});
  EXPECT_EQ(counts.bad, 3);
  EXPECT_THAT(counts.first_bad, HasSubstr("a.jsonl:2: "));
  EXPECT_EQ(counts.documents, 2);
}

}  // namespace
}  // namespace birkhoff::testing
