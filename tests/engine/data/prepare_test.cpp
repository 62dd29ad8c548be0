#include "engine/data/prepare.h"

#include <gmock/gmock.h>

#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Format = DocumentOptions::Format;
using Split = DocumentOptions::Split;

std::vector<std::string> documents_of(const Path& file, const DocumentOptions& options) {
  std::vector<std::string> all;
  read_documents(file, options, {.document = [&](auto text) { all.emplace_back(text); }});
  return all;
}

std::vector<std::string> split(const std::string& text, Split how, const std::string& prefix = "") {
  const Scratch dir;
  put(dir / "text", text);
  return documents_of(dir / "text", {.format = Format::text, .split = how, .prefix = prefix});
}

TEST(Documents, TextIsSplitAsAsked) {
  const std::string text = "\n a\nb\r\n \t\r\n\nc\u00e9\n\nd";
  EXPECT_THAT(split(text, Split::file), ElementsAre(text));
  EXPECT_THAT(split("a\n\nb", Split::line), ElementsAre("a", "", "b"));
  EXPECT_THAT(split("a\nb\n", Split::line), ElementsAre("a", "b"));
  EXPECT_THAT(split(text, Split::blank_line), ElementsAre(" a\nb", "c\u00e9", "d"));
  EXPECT_THAT(split("\n\n", Split::blank_line), ElementsAre());
  EXPECT_THAT(split("x\n## one\na\n\nb\n## two\n## three\nc\n", Split::prefix, "## "),
              ElementsAre("x", "a\n\nb", "c"));
  EXPECT_THAT(split("", Split::line), ElementsAre());
}

// Lines and documents that straddle the read buffer of 1 MiB.
TEST(Documents, LongLinesAreWhole) {
  std::vector<std::string> lines;
  std::string text;
  for (const size_t size : {0, 1, 1048575, 1048576, 1048577, 3000000, 5}) {
    lines.emplace_back(size, char('a' + lines.size()));
    text += lines.back() + "\n";
  }
  EXPECT_EQ(split(text, Split::line), lines);
  EXPECT_EQ(split(text, Split::file).front(), text);
}

std::string jsonl_error(const std::string& text, const std::string& field = "text") {
  const Scratch dir;
  put(dir / "in.jsonl", text);
  return data_error([&] { documents_of(dir / "in.jsonl", {.field = field}); });
}

TEST(Documents, JsonlGivesItsField) {
  const Scratch dir;
  put(dir / "in.jsonl",
      "{\"text\": \"a\\n\\u00e9\\\"\\u0000\", \"n\": [1, {\"text\": \"no\"}]}\n \n"
      "{\"id\": {\"text\": 3}, \"body\": \"B\", \"text\": \"\"}");
  EXPECT_THAT(documents_of(dir / "in.jsonl", {}),
              ElementsAre(std::string("a\n\xc3\xa9\"\0", 6), ""));
  EXPECT_THAT(jsonl_error("{\"body\": \"x\"}", "body"), "");
}

TEST(Documents, BadJsonlIsRefusedWithItsLine) {
  const std::string good = "{\"text\": \"a\"}\n";
  for (const auto& [line, expected] : std::map<std::string, std::string>{
           {"{\"text\": \"a\"", "in.jsonl:2: not valid JSON"},
           {"{\"text\": \"a\"} x", "in.jsonl:2: not valid JSON"},
           {"{\"text\": \"\xff\"}", "in.jsonl:2: not valid JSON"},
           {"{\"text\": \"\\ud800\"}", "in.jsonl:2: \"text\" has an unpaired surrogate"},
           {"{\"text\": 3}", "in.jsonl:2: \"text\" is not a string"},
           {"{\"text\": null}", "\"text\" is not a string"},
           {"{\"text\": [\"a\"]}", "\"text\" is not a string"},
           {"{\"text\": {\"text\": \"a\"}}", "\"text\" is not a string"},
           {"{\"Text\": \"a\"}", "has no \"text\""},
           {"{\"a\": {\"text\": \"a\"}}", "has no \"text\""},
           {"{\"text\": \"a\", \"text\": \"b\"}", "given twice"},
           {"\"text\"", "not a JSON object"},
           {"[\"text\", \"a\"]", "not a JSON object"},
           {"12", "not a JSON object"}}) {
    EXPECT_THAT(jsonl_error(good + line + "\n" + good), HasSubstr(expected)) << line;
    EXPECT_THAT(jsonl_error(good + line), HasSubstr(expected)) << line;
  }
  EXPECT_THAT(jsonl_error(good + std::string("{\"text\": \"a\"}\0", 14) + "\n"),
              HasSubstr("in.jsonl:2: not valid JSON: a NUL at byte 13"));
  EXPECT_THAT(jsonl_error(good + std::string(3000000, '[')), HasSubstr("in.jsonl:2: "));
  EXPECT_THAT(jsonl_error("{\"a\": " + std::string(3000000, '[')),
              HasSubstr("JSON is nested deeper than 512"));
}

TEST(ByteTokenizer, EveryByteComesBack) {
  std::string text;
  for (int i = 0; i < 256; ++i) text += char(i);
  const ByteTokenizer tokenizer;
  std::vector<int32_t> ids = {7};
  tokenizer.encode(text, ids);
  ASSERT_EQ(ids.size(), 257u);
  EXPECT_EQ(ids[0], 7);
  EXPECT_EQ(ids[256], 255);
  ids.push_back(tokenizer.end_of_document());
  EXPECT_EQ(tokenizer.decode(ids), "\a" + text);
  ids.push_back(257);
  EXPECT_THROW(tokenizer.decode(ids), DataError);
  EXPECT_THROW(make_tokenizer("bite"), ConfigError);
}

TEST(ByteTokenizer, TextBytesAreTheTargetsThatCountAndAreText) {
  EXPECT_EQ(text_bytes(ByteTokenizer(), std::vector<int32_t>{-1, 65, 256, 0, -1, 255}), 3);
  EXPECT_EQ(text_bytes(ByteTokenizer(), {}), 0);
}

PrepareOptions options_of(const Scratch& dir, const std::vector<std::string>& texts) {
  PrepareOptions options{.out = dir / "out/set"};
  for (const std::string& text : texts) {
    options.files.push_back(dir / fmt::format("{}.txt", options.files.size()));
    put(options.files.back(), text);
  }
  return options;
}

TEST(Prepare, TextComesBackFromTheDataset) {
  const Scratch dir;
  const auto counts = prepare(options_of(dir, {"caf\xc3\xa9\n", "", "\0b"}), ByteTokenizer(), {});
  EXPECT_EQ(counts.documents, 1);  // "\0b" is an empty C string
  EXPECT_EQ(counts.empty, 2);
  EXPECT_EQ(counts.bytes, 6);
  EXPECT_EQ(counts.tokens, 7);
  const TokenDataset dataset(dir / "out/set");
  std::vector<int32_t> ids(7);
  dataset.read(0, ids, 257);
  EXPECT_EQ(ids.back(), 256);
  EXPECT_EQ(ByteTokenizer().decode(ids), "caf\xc3\xa9\n");
  ASSERT_TRUE(dataset.manifest());
  EXPECT_EQ(dataset.manifest()->bytes, 6);
  EXPECT_EQ(dataset.manifest()->tokenizer.name, "byte");
  EXPECT_TRUE(verify(dataset, 0).hashes);
}

TEST(Prepare, WriteTextGivesOneSideBack) {
  const Scratch dir;
  prepare(options_of(dir, {"one", "two", "three", "four"}), ByteTokenizer(), {});
  const TokenDataset dataset(dir / "out/set");
  std::string text;
  write_text(dataset, {.ids = {1, 3}, .begins = {0, 4, 9}}, ByteTokenizer(),
             [&](std::string_view piece) { text += piece; });
  EXPECT_EQ(text, "two\nfour\n");
}

TEST(Prepare, LeavesNothingBehindWhenItFails) {
  const Scratch dir;
  EXPECT_THAT(data_error([&] {
                prepare(options_of(dir, {"", ""}), ByteTokenizer(), {});
              }),
              HasSubstr("no text to prepare"));
  auto options = options_of(dir, {"a"});
  options.files.push_back(dir / "missing.txt");
  EXPECT_THAT(data_error([&] { prepare(options, ByteTokenizer(), {}); }),
              HasSubstr("missing.txt: No such file"));
  options.files.back() = dir.path();
  EXPECT_THAT(data_error([&] { prepare(options, ByteTokenizer(), {}); }),
              HasSubstr("Is a directory"));
  EXPECT_TRUE(std::filesystem::is_empty(dir / "out"));
}

TEST(Prepare, OverwritesOnlyOnPurpose) {
  const Scratch dir;
  auto options = options_of(dir, {"first"});
  prepare(options, ByteTokenizer(), {});
  put(options.files[0], "second!");
  EXPECT_THAT(data_error([&] { prepare(options, ByteTokenizer(), {}); }), HasSubstr("--overwrite"));
  EXPECT_EQ(TokenDataset(dir / "out/set").tokens(), 6);
  options.overwrite = true;
  prepare(options, ByteTokenizer(), {});
  const TokenDataset dataset(dir / "out/set");
  EXPECT_EQ(dataset.tokens(), 8);
  EXPECT_TRUE(verify(dataset, 0).hashes);
}

TEST(Verify, NamesTheFileWhoseBytesChanged) {
  const Scratch dir;
  for (const char* name : {"d.bin", "d.idx"}) {
    write_dataset(dir / "d", {{1, 2, 256}, {3, 256}});
    std::string bytes = read_file(dir / name, 1000);
    // In the index: 2 + 3 tokens instead of 3 + 2, consistent in itself.
    if (name == std::string("d.idx"))
      bytes[34] = 2, bytes[38] = 3, bytes[50] = 4;
    else
      bytes[0] ^= 1;
    put(dir / name, bytes);
    const TokenDataset dataset(dir / "d");
    EXPECT_THAT(
        data_error([&] { verify(dataset, 0); }),
        HasSubstr(fmt::format("{}: its contents do not match their hash in the manifest", name)));
  }
}

TEST(Verify, ChecksIdsAndDocumentEndsWithoutHashes) {
  const Scratch dir;
  const auto wrong = [&](const std::vector<std::vector<int32_t>>& documents, int64_t vocab) {
    write_dataset(dir / "d", documents);
    return data_error([&] { verify(TokenDataset(dir / "d"), vocab); });
  };
  EXPECT_EQ(wrong({{1, 256}, {256}}, 0), "");
  EXPECT_THAT(wrong({{1, 256}, {2, 300, 256}}, 0), HasSubstr("document 1, token 1: id 300"));
  EXPECT_THAT(wrong({{1, 256}, {2, 256}}, 2), HasSubstr("id 256 is outside the vocabulary of 2"));
  EXPECT_THAT(wrong({{1, 256}, {2}}, 0), HasSubstr("document 1 does not end with"));
  EXPECT_THAT(wrong({{1, 256, 4, 256}}, 0), HasSubstr("document 0 has, before its end,"));
  std::vector<int32_t> all(70000, 5);  // longer than the part that verify reads at a time
  EXPECT_THAT(wrong({all}, 0), HasSubstr("document 0 does not end with"));
  all[65536] = 256;
  all.back() = 256;
  EXPECT_THAT(wrong({all}, 0), HasSubstr("document 0 has, before its end,"));
}

TEST(DatasetManifest, RefusesWhatItDoesNotUnderstand) {
  const Scratch dir;
  write_dataset(dir / "d", {{1, 256}});
  const std::string good = read_file(dir / "d.json", 1000);
  for (const auto& [from, to, expected] :
       {std::tuple{"\"format_version\": 1", "\"format_version\": 2", "format_version 2"},
        {"\"tokens\": 2", "\"tokens\": -2", "whole number"},
        {"\"tokens\": 2", "\"tokens\": 2.0", "whole number"},
        {"\"tokens\": 2", "\"tokens\": 18446744073709551615", "whole number"},
        {"\"tokens\": 2", "\"tokens\": 3", "has 3 tokens in 1 documents, but the index has 2"},
        {"\"tokens\": 2", "\"token\": 2", "has no \"tokens\""},
        {"\"byte\"", "7", "must be a string"},
        {"\"bin\": \"", "\"bin\": \"x", "hexadecimal"},
        {"\"tokens\": 2", "\"tokens\": 2, \"tokens\": 2", "'tokens' twice"},
        {"{", "[", "is not valid JSON"},
        {good.c_str(), "[]", "must be an object"}}) {
    std::string text = good;
    text.replace(text.find(from), std::string(from).size(), to);
    put(dir / "d.json", text);
    const std::string what = data_error([&] { TokenDataset(dir / "d"); });
    EXPECT_THAT(what, HasSubstr(expected));
    EXPECT_THAT(what, HasSubstr("d.json: "));
  }
  put(dir / "d.json", std::string(70000, ' '));
  EXPECT_THAT(data_error([&] { TokenDataset(dir / "d"); }), HasSubstr("more than the 65536"));
}

}  // namespace
}  // namespace birkhoff::testing
