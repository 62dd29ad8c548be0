// tokenizer.json and the ids of document ends in a Hugging Face directory.
#include "engine/exchange/hf_tokenizer.h"

#include <gmock/gmock.h>

#include <functional>

#include "base/hash.h"
#include "engine/exchange/hf_config.h"
#include "tests/support/scratch.h"

namespace birkhoff {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing::Scratch;
using testing::slurp;
using testing::spill;

const std::string kJson = R"({"model": {"vocab": {"a": 0, "b": 5}}})";

std::string error_of(const std::function<void()>& f) {
  try {
    f();
    return "accepted";
  } catch (const CheckpointError& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
}

json golden_config() {
  return json::parse(slurp(BIRKHOFF_SOURCE_DIR "/tests/golden/hf/pairs/config.json"));
}

// The ids in config.json after import and export of a config.json with these ids.
json there_and_back(const json& ids) {
  json j = golden_config();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) j.erase(key);
  j.update(ids);
  Config config;
  const HfModel hf = parse_hf_config(j.dump(), "M");
  config.model = hf.model, config.moe = hf.moe;
  const json back = json::parse(hf_config_text(config, DType::f32, false, hf.special));
  const json generation = json::parse(hf_generation_text(hf.special));
  json out;
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    EXPECT_EQ(back.at(key), generation.at(key));
    out[key] = back.at(key);
  }
  EXPECT_EQ(generation, out);
  return out;
}

TEST(HfTokenizer, IdsComeBackVerbatim) {
  const json all[] = {
      {{"bos_token_id", 1}, {"eos_token_id", 2}, {"pad_token_id", 3}},
      {{"bos_token_id", nullptr}, {"eos_token_id", {128001, 128009}}, {"pad_token_id", -1}},
      {{"bos_token_id", {0}}, {"eos_token_id", {7}}, {"pad_token_id", nullptr}},
      {{"bos_token_id", nullptr}, {"eos_token_id", json::array()}, {"pad_token_id", 0}},
      {{"bos_token_id", nullptr}, {"eos_token_id", nullptr}, {"pad_token_id", nullptr}},
  };
  for (const json& ids : all) EXPECT_EQ(there_and_back(ids), ids);
  EXPECT_EQ(there_and_back(json::object()), all[4]);  // omitted: not known
}

TEST(HfTokenizer, IdsThatAreNoneAreRefused) {
  for (const json& bad : {json("2"), json(2.0), json(true), json(-2), json({{"a", 1}}),
                          json({1, "2"}), json({{1}}), json(uint64_t(1) << 63)}) {
    json j = golden_config();
    j["eos_token_id"] = bad;
    EXPECT_THAT(error_of([&] { parse_hf_config(j.dump(), "M"); }),
                HasSubstr("M: eos_token_id is not a token id"))
        << bad;
    const json generation = {{"eos_token_id", bad}};
    EXPECT_THAT(error_of([&] { parse_hf_generation(generation.dump(), "G"); }),
                HasSubstr("G: eos_token_id is not a token id"))
        << bad;
  }
  for (const char* text : {"", "{", "[]", "{\"a\": 1, \"a\": 1}"})
    EXPECT_THAT(error_of([&] { parse_hf_generation(text, "G"); }), HasSubstr("G: ")) << text;
  EXPECT_EQ(
      parse_hf_generation(R"({"temperature": 0.6, "eos_token_id": [1, 2], "x": {}})", "G").eos,
      (TokenIds{.ids = {1, 2}, .is_list = true}));
}

TEST(HfTokenizer, TakesFromTheGenerationConfigWhatTheConfigLacks) {
  const Scratch scratch;
  const Directory directory(scratch.path());
  const SpecialTokens config{.bos = {.ids = {1}}};
  EXPECT_EQ(read_hf_tokenizer(directory, config).identity->special, config);
  spill(scratch / "generation_config.json",
        R"({"bos_token_id": 8, "eos_token_id": [2, 9], "pad_token_id": null})");
  const SpecialTokens both{.bos = {.ids = {1}}, .eos = {.ids = {2, 9}, .is_list = true}};
  EXPECT_EQ(read_hf_tokenizer(directory, config).identity->special, both);
  // If config.json has all three, the other file is not read.
  const SpecialTokens all{.bos = {.ids = {1}}, .eos = {.ids = {2}}, .pad = {.ids = {3}}};
  spill(scratch / "generation_config.json", "{");
  EXPECT_EQ(read_hf_tokenizer(directory, all).identity->special, all);
  EXPECT_THAT(error_of([&] { read_hf_tokenizer(directory, config); }),
              HasSubstr("generation_config.json: is not valid JSON"));
}

TEST(HfTokenizer, ReadsTheFileOrDoesWithout) {
  const Scratch scratch;
  const Directory directory(scratch.path());
  EXPECT_EQ(*read_hf_tokenizer(directory, {}).identity, TokenizerIdentity());
  const Path file = scratch / "tokenizer.json";
  spill(file, kJson);
  const ModelTokenizer tokenizer = read_hf_tokenizer(directory, {.eos = {.ids = {5}}});
  EXPECT_EQ(tokenizer.json, kJson);
  EXPECT_EQ(*tokenizer.identity,
            (TokenizerIdentity{.name = "tokenizer.json",
                               .vocab = 6,
                               .special = {.eos = {.ids = {5}}},
                               .bytes = kJson.size(),
                               .hash = hash128(std::as_bytes(std::span(kJson)))}));
  const auto refused = [&] { return error_of([&] { read_hf_tokenizer(directory, {}); }); };
  spill(file, "version https://git-lfs.github.com/spec/v1");
  EXPECT_THAT(refused(), HasSubstr("tokenizer.json is not valid JSON"));
  std::filesystem::resize_file(file, kMaxTokenizer + 1);
  EXPECT_THAT(refused(), HasSubstr("more than the 67108864 allowed"));
  std::filesystem::remove(file);
  spill(scratch / "elsewhere", kJson);
  std::filesystem::create_symlink(scratch / "elsewhere", file);
  EXPECT_THAT(refused(), HasSubstr("tokenizer.json"));
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  EXPECT_THAT(refused(), HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace birkhoff
