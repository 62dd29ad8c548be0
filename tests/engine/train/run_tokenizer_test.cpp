// Which tokenizer a run records, and what it does with tokenizer.json in its directory.
#include "engine/train/run_tokenizer.h"

#include <gmock/gmock.h>

#include "engine/train/run_directory.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ModelTokenizer of_file(const std::string& token, SpecialTokens special) {
  ModelTokenizer tokenizer;
  tokenizer.json = "{\"model\": {\"vocab\": {\"" + token + "\": 9}}}";
  tokenizer.identity = identity_of_file(tokenizer.json, "tokenizer.json");
  tokenizer.identity->special = std::move(special);
  return tokenizer;
}

ModelTokenizer without_file(ModelTokenizer tokenizer) {
  tokenizer.json.clear();
  tokenizer.identity->hash.clear(), tokenizer.identity->bytes = 0;
  return tokenizer;
}

const SpecialTokens kModels{
    .bos = {.ids = {1}}, .eos = {.ids = {2, 7}, .is_list = true}, .pad = {.ids = {3}}};
const ModelTokenizer kByte{.identity = byte_identity()}, kUnknown{.identity = TokenizerIdentity()};

void expect_run(const ModelTokenizer& model, const ModelTokenizer& data,
                const TokenizerIdentity& identity, const std::string& json) {
  const ModelTokenizer run = run_tokenizer(model, data);
  EXPECT_EQ(*run.identity, identity) << identity_text(run.identity);
  EXPECT_EQ(run.json, json);
  const ModelTokenizer again = run_tokenizer(run, data);  // as a run that resumes from that one
  EXPECT_EQ(*again.identity, identity);
  EXPECT_EQ(again.json, json);
}

TEST(RunTokenizer, IsTheDatas) {
  const ModelTokenizer data = of_file("a", {.eos = {.ids = {2}}});
  expect_run({}, data, *data.identity, data.json);
  expect_run({}, kByte, byte_identity(), "");
  expect_run(kUnknown, kByte, byte_identity(), "");
  expect_run(of_file("b", kModels), data, *data.identity, data.json);  // allowed by the user
  expect_run(of_file("b", kModels), kByte, byte_identity(), "");
}

TEST(RunTokenizer, IsTheModelsWhereTheDataDoesNotSay) {
  const ModelTokenizer model = of_file("a", kModels);
  expect_run(model, kUnknown, *model.identity, model.json);
  expect_run(kByte, kUnknown, byte_identity(), "");
  expect_run({}, kUnknown, TokenizerIdentity(), "");
}

TEST(RunTokenizer, KeepsTheModelsIdsWhileTheyFitTheData) {
  const ModelTokenizer model = of_file("a", kModels);
  for (const int64_t end : {2, 7}) {
    const ModelTokenizer data = of_file("a", {.eos = {.ids = {end}}});
    expect_run(model, data, *model.identity, model.json);
    // Data of an old manifest brings no file: the model's stays.
    expect_run(model, without_file(data), *model.identity, model.json);
    // A model without a tokenizer.json: its ids are the data's.
    TokenizerIdentity joined = *data.identity;
    joined.special = kModels;
    expect_run({.identity = TokenizerIdentity{.special = kModels}}, data, joined, data.json);
  }
  // Another id ends the data's documents.
  const ModelTokenizer data = of_file("a", {.eos = {.ids = {4}}});
  TokenizerIdentity joined = *model.identity;
  joined.special.eos = {.ids = {4}};
  expect_run(model, data, joined, data.json);
  expect_run({.identity = TokenizerIdentity{.special = kModels}}, data, *data.identity, data.json);
}

TEST(RunTokenizer, AChangeNamesBoth) {
  const ModelTokenizer a = of_file("a", {}), b = of_file("b", {});
  EXPECT_EQ(tokenizer_change({}, a), "");  // version 1 says nothing
  EXPECT_EQ(tokenizer_change({.tokenizer = a.identity}, a), "");
  EXPECT_EQ(tokenizer_change({.tokenizer = a.identity}, kUnknown), "");
  EXPECT_EQ(tokenizer_change({.tokenizer = TokenizerIdentity()}, a), "");
  EXPECT_THAT(tokenizer_change({.tokenizer = a.identity}, b),
              AllOf(HasSubstr(a.identity->hash), HasSubstr(b.identity->hash)));
  EXPECT_EQ(tokenizer_change({.tokenizer = byte_identity()}, a),
            "its tokenizer is 'byte', but the data's is 'tokenizer.json' (10 ids, xxh3-128 " +
                a.identity->hash + ")");
}

TEST(RunTokenizer, ItsFileIsWrittenAndNoOtherIsReplaced) {
  const Scratch scratch;
  const RunDirectory run = RunDirectory::open(scratch.path());
  const Path path = scratch / "tokenizer.json";
  const ModelTokenizer a = of_file("a", {}), b = of_file("b", {});
  run.write_tokenizer(kByte, {});
  EXPECT_FALSE(std::filesystem::exists(path));
  run.write_tokenizer(a, {});
  run.write_tokenizer(a, a);
  EXPECT_EQ(slurp(path), a.json);
  run.write_tokenizer(b, a);  // allowed on resume
  EXPECT_EQ(slurp(path), b.json);
  run.write_tokenizer(kByte, b);
  EXPECT_FALSE(std::filesystem::exists(path));

  const auto refused = [&](const ModelTokenizer& before) -> std::string {
    try {
      run.write_tokenizer(a, before);
      return "accepted";
    } catch (const DataError& e) {
      return e.what();
    }
  };
  for (const ModelTokenizer& before : {ModelTokenizer(), a, b, kByte}) {
    spill(path, "somebody's");
    EXPECT_THAT(refused(before), AllOf(HasSubstr("tokenizer.json is not this run's"),
                                       HasSubstr(a.identity->hash), HasSubstr("move it away")));
    run.write_tokenizer(kByte, before);
    EXPECT_EQ(slurp(path), "somebody's");
  }
  spill(scratch / "elsewhere", a.json);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(scratch / "elsewhere", path);
  EXPECT_THAT(refused(a), HasSubstr("is not this run's"));
  EXPECT_EQ(slurp(scratch / "elsewhere"), a.json);
}

}  // namespace
}  // namespace birkhoff::testing
