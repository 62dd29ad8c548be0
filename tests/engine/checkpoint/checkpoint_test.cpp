#include "engine/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/hash.h"
#include "tests/engine/checkpoint/sample.h"
#include "tests/support/version_one.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;
using testing::refusal;
using testing::SampleTensors;
using testing::Scratch;
using testing::slurp;
using testing::spill;

// Reads every tensor back and compares it with what was saved.
void expect_holds(const Checkpoint& checkpoint, const SampleTensors& sample) {
  ASSERT_EQ(checkpoint.manifest().tensors.size(), sample.named().size());
  for (const NamedTensor& t : sample.named()) {
    std::vector<std::byte> bytes(t.bytes.size(), std::byte{0xAA});
    checkpoint.read(t.name, t.spec, bytes);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), t.bytes.begin())) << t.name;
  }
}

TEST(Checkpoint, ComesBackAtAnyShardAndChunkSize) {
  const SampleTensors sample;
  for (const size_t shard : {size_t(1), size_t(64), size_t(300), size_t(4) << 30}) {
    for (const size_t chunk : {size_t(1), size_t(7), size_t(64), size_t(16) << 20}) {
      Scratch scratch;
      const Path path = scratch / "checkpoints/step-00000100";
      save_checkpoint(path, testing::sample_info(), sample.named(),
                      {.shard_bytes = shard, .chunk_bytes = chunk});
      const Checkpoint checkpoint = Checkpoint::open(path);
      EXPECT_EQ(checkpoint.manifest().info, testing::sample_info());
      expect_holds(checkpoint, sample);
      checkpoint.verify();
    }
  }
}

TEST(Checkpoint, CutsShardsAtTheLimit) {
  const SampleTensors sample;
  Scratch scratch;
  save_checkpoint(scratch / "c", testing::sample_info(), sample.named(), {.shard_bytes = 64});
  std::map<std::string, size_t> bytes, tensors;
  const Checkpoint checkpoint = Checkpoint::open(scratch / "c");
  for (const StoredTensor& t : checkpoint.manifest().tensors) {
    for (const StoredPiece& p : t.pieces) bytes[p.file] += p.end - p.begin, ++tensors[p.file];
  }
  EXPECT_GT(bytes.size(), 2u);
  for (const auto& [file, n] : bytes) EXPECT_TRUE(n <= 64 || tensors[file] == 1) << file;
}

TEST(Checkpoint, EmptyOnesAreFine) {
  Scratch scratch;
  save_checkpoint(scratch / "c", {}, {});
  Checkpoint::open(scratch / "c").verify();
}

TEST(Checkpoint, EqualContentsHaveEqualBytes) {
  const SampleTensors sample;
  std::vector<NamedTensor> backwards(sample.named().rbegin(), sample.named().rend());
  Scratch scratch;
  save_checkpoint(scratch / "a", testing::sample_info(), sample.named(), {.shard_bytes = 128});
  save_checkpoint(scratch / "b", testing::sample_info(), backwards, {.shard_bytes = 128});
  for (const std::string& name : Directory(scratch / "a").names())
    EXPECT_EQ(slurp(scratch / "a" / name), slurp(scratch / "b" / name)) << name;
}

TEST(Checkpoint, TextThatIsNotUtf8StillLoads) {
  Scratch scratch;
  CheckpointInfo info;
  info.model = "path: \xff\"\n";
  info.state = {{"k\n", "v\x80"}};
  save_checkpoint(scratch / "c", info, {});
  EXPECT_EQ(Checkpoint::open(scratch / "c").manifest().info.model, "path: \xef\xbf\xbd\"\n");
}

TEST(Checkpoint, CarriesItsTokenizer) {
  const std::string json = testing::sample_tokenizer_json();
  Scratch scratch;
  const CheckpointInfo info{.tokenizer = testing::sample_tokenizer(json)};
  save_checkpoint(scratch / "c", info, {}, {}, json);
  EXPECT_EQ(slurp(scratch / "c" / kTokenizerName), json);
  const Checkpoint checkpoint = Checkpoint::open(scratch / "c");
  EXPECT_EQ(checkpoint.manifest().info, info);
  EXPECT_EQ(checkpoint.tokenizer().json, json);
  // The writer's own bytes are checked too.
  EXPECT_THROW(save_checkpoint(scratch / "d", info, {}, {}, json + " "), InternalError);
  EXPECT_THROW(save_checkpoint(scratch / "d", info, {}), InternalError);
  EXPECT_THROW(save_checkpoint(scratch / "d", {}, {}, {}, json), InternalError);
  EXPECT_EQ(Directory(scratch.path()).names(), std::vector<std::string>{"c"});
}

// Text of version 1 is that of version 2 without the tokenizer.
TEST(Checkpoint, VersionOneIsReadAndSaysNoTokenizer) {
  Scratch scratch;
  const SampleTensors sample;
  CheckpointInfo info = testing::sample_info();
  info.tokenizer = byte_identity();
  save_checkpoint(scratch / "c", info, sample.named());
  testing::make_version_one(scratch / "c");
  const Checkpoint checkpoint = Checkpoint::open(scratch / "c");
  checkpoint.verify();
  expect_holds(checkpoint, sample);
  EXPECT_EQ(checkpoint.manifest().info, testing::sample_info());
  EXPECT_THAT(manifest_text(checkpoint.manifest()), HasSubstr("\"tokenizer\": null"));
}

TEST(Checkpoint, ReadsOnlyWhatItWasAskedFor) {
  const SampleTensors sample;
  Scratch scratch;
  save_checkpoint(scratch / "c", testing::sample_info(), sample.named());
  const Checkpoint c = Checkpoint::open(scratch / "c");
  std::vector<std::byte> bytes(24);
  EXPECT_THAT(refusal([&] {
                c.read("nosuch", {{6}, DType::f32}, bytes);
              }),
              HasSubstr("has no tensor nosuch"));
  EXPECT_THAT(refusal([&] {
                c.read("layers.0.w", {{6}, DType::f32}, bytes);
              }),
              HasSubstr("is f32[3,5], but f32[6] is needed"));
}

TEST(Checkpoint, NeverOverwrites) {
  const SampleTensors sample;
  Scratch scratch;
  const Path path = scratch / "step-00000100";
  save_checkpoint(path, testing::sample_info(), {});
  const std::string before = slurp(path / "manifest.json");
  EXPECT_THROW(save_checkpoint(path, testing::sample_info(), sample.named()), ResourceError);
  EXPECT_EQ(slurp(path / "manifest.json"), before);
  EXPECT_EQ(Directory(scratch.path()).names(), std::vector<std::string>{"step-00000100"});
}

TEST(Checkpoint, RemovesWhatAKilledSaveLeftAndNothingElse) {
  const SampleTensors sample;
  Scratch scratch;
  const Path aside = scratch / ".step-00000100.partial";
  std::filesystem::create_directory(aside);
  spill(aside / shard_name(0, 3), "torn");
  spill(aside / "manifest.json", "{");
  save_checkpoint(scratch / "step-00000100", testing::sample_info(), sample.named());
  expect_holds(Checkpoint::open(scratch / "step-00000100"), sample);
  EXPECT_FALSE(std::filesystem::exists(aside));

  const Path strange = scratch / ".step-00000200.partial";
  std::filesystem::create_directory(strange);
  spill(strange / "thesis.txt", "mine");
  CheckpointInfo info = testing::sample_info();
  info.step = 200;
  EXPECT_THROW(save_checkpoint(scratch / "step-00000200", info, sample.named()), ResourceError);
  EXPECT_EQ(slurp(strange / "thesis.txt"), "mine");
}

TEST(Checkpoint, RefusesBadNamesToSave) {
  Scratch scratch;
  for (const char* name : {"../x", "", "a/b"}) {
    const NamedTensor t{name, {{0}, DType::f32}, {}};
    EXPECT_THROW(save_checkpoint(scratch / "c", {}, std::span(&t, 1)), InternalError);
  }
  const NamedTensor twice[] = {{"a", {{0}, DType::f32}, {}}, {"a", {{0}, DType::f32}, {}}};
  EXPECT_THROW(save_checkpoint(scratch / "c", {}, twice), InternalError);
  EXPECT_TRUE(Directory(scratch.path()).names().empty());
}

// Simulates a full disk by the kernel's own limit: writes beyond it are shortened, then fail.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(size_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  sighandler_t handler_;
};

TEST(Checkpoint, AFailedSaveLeavesOnlyThePreviousOne) {
  const SampleTensors sample;
  Scratch scratch;
  const Path folder = scratch / "checkpoints";
  save_checkpoint(folder / "step-00000100", testing::sample_info(), sample.named());
  CheckpointInfo next = testing::sample_info();
  next.step = 200;
  save_checkpoint(scratch / "measure", next, sample.named(), {.shard_bytes = 200});
  size_t largest = 0;
  for (const std::string& name : Directory(scratch / "measure").names())
    largest = std::max(largest, slurp(scratch / "measure" / name).size());

  int failed = 0;
  for (size_t limit = 0; limit < largest; limit += 37, ++failed) {
    std::string error;
    {
      const FileSizeLimit full(limit);
      try {
        save_checkpoint(folder / "step-00000200", next, sample.named(), {.shard_bytes = 200});
      } catch (const ResourceError& e) {
        error = e.what();
      }
    }
    ASSERT_THAT(error, HasSubstr("step-00000200")) << limit;
    ASSERT_THAT(error, ::testing::ContainsRegex("[0-9]+ bytes needed, [0-9]+ free"));
    ASSERT_EQ(error.find('\n'), std::string::npos);
    ASSERT_EQ(Directory(folder).names(), std::vector<std::string>{"step-00000100"}) << limit;
  }
  EXPECT_GT(failed, 20);
  expect_holds(*latest_checkpoint(scratch.path()), sample);
  save_checkpoint(folder / "step-00000200", next, sample.named(), {.shard_bytes = 200});
  EXPECT_EQ(latest_checkpoint(scratch.path())->manifest().info.step, 200);
}

TEST(Checkpoint, ADirectoryThatCannotBeWrittenTo) {
  Scratch scratch;
  spill(scratch / "file", "");
  EXPECT_THROW(save_checkpoint(scratch / "file/checkpoints/c", {}, {}), ResourceError);
}

TEST(FindCheckpoints, NewestFirstAndTheBrokenOnesNamed) {
  const SampleTensors sample;
  Scratch scratch;
  EXPECT_TRUE(find_checkpoints(scratch.path()).valid.empty());
  EXPECT_FALSE(latest_checkpoint(scratch.path()));
  EXPECT_THAT(refusal([&] { open_checkpoint(scratch.path()); }), HasSubstr("cannot open"));
  const Path folder = scratch / "checkpoints";
  for (const int64_t step : {0, 20, 100, 3}) {
    CheckpointInfo info = testing::sample_info();
    info.step = step;
    save_checkpoint(folder / checkpoint_name(step), info, sample.named());
  }
  for (const char* other : {"step-7", "step-000000200", "step--0000001", "step-0000100x", "notes"})
    std::filesystem::create_directory(folder / other);
  std::filesystem::create_directory(folder / "step-00000300");
  std::filesystem::create_directory_symlink("step-00000100", folder / "step-00000400");
  std::filesystem::copy(folder / "step-00000020", folder / "step-00000500");

  const FoundCheckpoints found = find_checkpoints(scratch.path());
  EXPECT_EQ(found.valid, (std::vector<Path>{folder / "step-00000100", folder / "step-00000020",
                                            folder / "step-00000003", folder / "step-00000000"}));
  ASSERT_EQ(found.refused.size(), 3u);
  EXPECT_THAT(found.refused[0], HasSubstr("its manifest.json is of step 20"));
  EXPECT_THAT(found.refused[1], HasSubstr("symbolic link, which is not followed"));
  EXPECT_THAT(found.refused[2], HasSubstr("step-00000300/manifest.json"));
  EXPECT_EQ(latest_checkpoint(scratch.path())->path(), folder / "step-00000100");
  EXPECT_EQ(open_checkpoint(scratch.path()).path(), folder / "step-00000100");
  EXPECT_EQ(open_checkpoint(folder / "step-00000020/").manifest().info.step, 20);

  for (const Path& path : found.valid) std::filesystem::remove(path / "manifest.json");
  EXPECT_THAT(refusal([&] { latest_checkpoint(scratch.path()); }),
              HasSubstr("has no valid checkpoint"));
}

}  // namespace
}  // namespace birkhoff
