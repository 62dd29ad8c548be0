// PREFIX.tokenizer.json: the tokenizer that goes with a dataset.
#include <gmock/gmock.h>

#include "engine/checkpoint/stored.h"
#include "engine/data/prepare.h"
#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kJson = R"({"model": {"vocab": {"a": 0, "b": 5}}})";

// A dataset with a tokenizer.json; its manifest is written by hand, as scripts/tokenize.py does it.
void write_with_tokenizer(const Path& prefix, const std::string& json) {
  write_dataset(prefix, {{1, 2, 5}, {5}}, 6);
  DatasetManifest manifest = *read_dataset_manifest(manifest_path(prefix));
  manifest.tokenizer = {.name = "my.json", .vocab = 6, .end_of_document = 5, .hash = hash_of(json)};
  put(manifest_path(prefix), to_json(manifest));
  put(prefix.string() + ".tokenizer.json", json);
}

TEST(DatasetTokenizer, IsReadWithItsFile) {
  const Scratch dir;
  write_with_tokenizer(dir / "d", kJson);
  const ModelTokenizer tokenizer = TokenDataset(dir / "d").tokenizer();
  EXPECT_EQ(tokenizer.json, kJson);
  EXPECT_EQ(*tokenizer.identity, (TokenizerIdentity{.name = "my.json",
                                                    .vocab = 6,
                                                    .special = {.eos = {.ids = {5}}},
                                                    .bytes = kJson.size(),
                                                    .hash = hash_of(kJson)}));
  EXPECT_TRUE(verify(TokenDataset(dir / "d"), 0).hashes);
  const DatasetManifest manifest = *TokenDataset(dir / "d").manifest();
  EXPECT_EQ(parse_dataset_manifest(to_json(manifest), "W"), manifest);
}

TEST(DatasetTokenizer, OldManifestsAreReadAndWrittenAsBefore) {
  const Scratch dir;
  write_dataset(dir / "d", {{1, 256}});
  put(dir / "d.tokenizer.json", "somebody's");
  const ModelTokenizer byte = TokenDataset(dir / "d").tokenizer();
  EXPECT_EQ(*byte.identity, byte_identity());
  EXPECT_EQ(byte.json, "");
  const std::string written = read_file(dir / "d.json", 1000);
  EXPECT_THAT(written,
              HasSubstr("  \"tokenizer\": {\n    \"name\": \"byte\",\n    \"vocab\": 257,\n"
                        "    \"end_of_document\": 256\n  },\n"));
  EXPECT_TRUE(verify(TokenDataset(dir / "d"), 0).hashes);
  std::filesystem::remove(dir / "d.json");  // like Megatron's datasets
  EXPECT_EQ(*TokenDataset(dir / "d").tokenizer().identity, TokenizerIdentity());
}

TEST(DatasetTokenizer, AFileThatIsNotTheManifestsIsRefused) {
  const Scratch dir;
  const Path file = dir / "d.tokenizer.json";
  const auto refused = [&] {
    const TokenDataset dataset(dir / "d");  // opening reads ids alone
    const std::string what = data_error([&] { dataset.tokenizer(); });
    EXPECT_EQ(data_error([&] { verify(dataset, 0); }), what);
    EXPECT_THAT(what, HasSubstr("d.tokenizer.json"));
    return what;
  };
  write_with_tokenizer(dir / "d", kJson);
  for (size_t at = 0; at < kJson.size(); ++at) {
    std::string bytes = kJson;
    bytes[at] = char(bytes[at] ^ (1 << at % 8));
    put(file, bytes);
    EXPECT_NE(refused(), "") << at;
  }
  put(file, kJson + " ");
  EXPECT_THAT(refused(), HasSubstr("does not match the manifest"));
  std::filesystem::remove(file);
  EXPECT_THAT(refused(), AllOf(HasSubstr("No such file"), HasSubstr("prepare the dataset again")));
  std::filesystem::create_directory(file);
  EXPECT_THAT(refused(), HasSubstr("is not a regular file"));
  std::filesystem::remove(file);
  write_with_tokenizer(dir / "d", "version https://git-lfs.github.com/spec/v1");
  EXPECT_THAT(refused(), HasSubstr("is not valid JSON"));
  write_with_tokenizer(dir / "d", "{}");
  EXPECT_THAT(refused(), HasSubstr("has no vocabulary"));
}

TEST(DatasetTokenizer, AHashIsOne) {
  const Scratch dir;
  write_with_tokenizer(dir / "d", kJson);
  std::string text = read_file(dir / "d.json", 1000);
  text.replace(text.find(hash_of(kJson)), 32, "x");
  put(dir / "d.json", text);
  EXPECT_THAT(data_error([&] { TokenDataset(dir / "d"); }), HasSubstr("hexadecimal"));
}

// Overwriting a dataset removes its tokenizer; a file that is not its own is refused.
TEST(DatasetTokenizer, GoesWhenTheDatasetIsOverwritten) {
  const Scratch dir;
  write_with_tokenizer(dir / "d", kJson);
  write_dataset(dir / "d", {{1, 256}});
  EXPECT_FALSE(std::filesystem::exists(dir / "d.tokenizer.json"));
  put(dir / "d.tokenizer.json", "somebody's");
  EXPECT_THAT(data_error([&] {
                write_dataset(dir / "d", {{2, 256}});
              }),
              HasSubstr("d.tokenizer.json exists and is not the tokenizer"));
  EXPECT_EQ(read_file(dir / "d.tokenizer.json", 100), "somebody's");
}

}  // namespace
}  // namespace birkhoff::testing
