// The identity of a tokenizer, and the inspection of a tokenizer.json.
#include <gmock/gmock.h>

#include "engine/checkpoint/tokenizer_file.h"
#include "engine/checkpoint/tokenizer_identity.h"
#include "tests/engine/checkpoint/sample.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

std::string json_error(const std::function<void()>& f) {
  try {
    f();
    return "accepted";
  } catch (const JsonError& e) {
    return e.what();
  }
}

TEST(TokenizerFile, CountsTheIds) {
  // A vocabulary by token, a list whose positions are the ids, and ids that were added.
  EXPECT_EQ(tokenizer_vocab(R"({"model": {"vocab": {"a": 0, "b": 319, "id": 4}}})"), 320);
  EXPECT_EQ(tokenizer_vocab(R"({"model": {"vocab": [["a", 0], ["b", -1.5], ["c", 0]]}})"), 3);
  EXPECT_EQ(tokenizer_vocab(R"({"added_tokens": [{"id": 5, "content": "x"}, {"id": 3}],)"
                            R"( "model": {"vocab": {}}})"),
            6);
  // The same keys elsewhere mean something else.
  EXPECT_EQ(
      tokenizer_vocab(R"({"x": {"vocab": {"a": 99}, "model": {"vocab": {"a": 98}}},)"
                      R"( "normalizer": {"id": 97}, "added_tokens": [{"x": {"id": 96}}],)"
                      R"( "model": {"vocab": {"a": 1}, "merges": [["a", "b"], {"id": 95}]}})"),
      2);
  EXPECT_EQ(tokenizer_vocab(sample_tokenizer_json()), 40);
}

TEST(TokenizerFile, RefusesWhatIsNone) {
  const auto refused = [](const std::string& text) {
    return json_error([&] { tokenizer_vocab(text); });
  };
  for (const char* text : {"", "{", "{}x", "version https://git-lfs.github.com/spec/v1"})
    EXPECT_THAT(refused(text), HasSubstr("is not valid JSON")) << text;
  for (const char* text : {"[]", "7", "null", "\"a\"", "1.5", "true", "-1"})
    EXPECT_THAT(refused(text), HasSubstr("is not an object")) << text;
  for (const char* text : {"{}", R"({"model": {}})", R"({"model": {"vocab": {}}})",
                           R"({"vocab": {"a": 1}})", R"({"model": [{"vocab": {"a": 1}}]})"})
    EXPECT_THAT(refused(text), HasSubstr("has no vocabulary")) << text;
  for (const char* id : {"\"1\"", "1.0", "null", "true", "[1]", "{}"})
    EXPECT_THAT(refused(fmt::format(R"({{"model": {{"vocab": {{"a": {}}}}}}})", id)),
                HasSubstr("is not an integer"))
        << id;
  for (const char* id : {"-1", "2147483647", "18446744073709551615"})
    EXPECT_THAT(refused(fmt::format(R"({{"added_tokens": [{{"id": {}}}]}})", id)),
                HasSubstr("not between 0 and 2147483646"))
        << id;
  EXPECT_THAT(refused(R"({"model": {"vocab": {"a": 1}}, "model": {}})"),
              HasSubstr("'model' twice"));
  EXPECT_THAT(refused(R"({"model": {"vocab": {"a": 1}, "vocab": 1}})"), HasSubstr("'vocab' twice"));
  EXPECT_THAT(refused(R"({"added_tokens": 0, "added_tokens": 0})"),
              HasSubstr("'added_tokens' twice"));
  EXPECT_THAT(refused("{\"a\": " + std::string(100000, '[')), HasSubstr("nested deeper than 64"));
  EXPECT_THAT(refused(std::string("{\0}", 3)), HasSubstr("has a NUL"));
  EXPECT_THAT(refused(std::string(kMaxTokenizer + 1, ' ')), HasSubstr("more than"));
  EXPECT_THAT(refused("{\"\xff\": 1}"), HasSubstr("is not valid JSON"));
}

TEST(TokenizerIdentity, SaysWhichIdsDiffer) {
  const TokenizerIdentity byte = byte_identity(), unknown;
  TokenizerIdentity a = sample_tokenizer(sample_tokenizer_json());
  TokenizerIdentity renamed = a, noted = a, another = sample_tokenizer(sample_tokenizer_json("A"));
  renamed.name = "other.json";
  noted.name = "noted.json", noted.hash = "", noted.bytes = 0;  // as in old manifests
  EXPECT_TRUE(differ(a, byte));
  EXPECT_TRUE(differ(a, another));
  EXPECT_FALSE(differ(a, renamed));
  EXPECT_FALSE(differ(a, noted));
  EXPECT_TRUE(differ(noted, byte));
  for (const TokenizerIdentity& x : {byte, a, noted, unknown}) {
    EXPECT_FALSE(differ(x, x));
    EXPECT_FALSE(differ(x, unknown));
    EXPECT_FALSE(differ(unknown, x));
  }
  TokenizerIdentity larger = noted, other_name = noted;
  larger.vocab = 41, other_name.name = "a.json";
  EXPECT_TRUE(differ(larger, a));
  EXPECT_TRUE(differ(a, larger));
  EXPECT_TRUE(differ(other_name, noted));
}

TEST(TokenizerIdentity, OnlyTheBuiltInOneIsByte) {
  EXPECT_TRUE(is_byte(byte_identity()));
  TokenizerIdentity file = sample_tokenizer(sample_tokenizer_json());
  file.name = "byte", file.vocab = 257, file.special.eos = {.ids = {256}};
  EXPECT_FALSE(is_byte(file));
  EXPECT_TRUE(differ(file, byte_identity()));
  TokenizerIdentity wide = byte_identity();
  wide.vocab = 300;
  EXPECT_FALSE(is_byte(wide));
  TokenizerIdentity other_end = byte_identity();
  other_end.special.eos = {.ids = {0}};
  EXPECT_FALSE(is_byte(other_end));
}

TEST(TokenizerIdentity, TextComesBack) {
  TokenizerIdentity one = sample_tokenizer(sample_tokenizer_json()), none;
  none.special.eos = {.ids = {}, .is_list = true};
  none.special.pad = {.ids = {-1}};
  for (const std::optional<TokenizerIdentity>& identity :
       {std::optional<TokenizerIdentity>(), {byte_identity()}, {one}, {none}}) {
    const std::string text = identity_text(identity);
    EXPECT_EQ(parse_identity(nlohmann::json::parse(text), "t"), identity) << text;
  }
  EXPECT_EQ(
      identity_text(byte_identity()),
      R"({"name": "byte", "vocab": 257, "bos": null, "eos": 256, "pad": null, "file": null})");
}

TEST(TokenizerIdentity, IsPrintable) {
  TokenizerIdentity identity = sample_tokenizer(sample_tokenizer_json());
  identity.name = "a\x1b[31m\n";
  EXPECT_EQ(to_string(identity), "'a\\x1b[31m\\x0a' (40 ids, xxh3-128 " + identity.hash + ")");
  EXPECT_EQ(to_string(TokenizerIdentity()), "unknown");
  EXPECT_EQ(to_string(byte_identity()), "'byte'");
}

}  // namespace
}  // namespace birkhoff::testing
