// The rules of docs/formats/text.md, by the table that also tests scripts/tokenize.py
// (tests/scripts/tokenize_test.py): one rule for both preparers.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "engine/data/documents.h"
#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using Format = DocumentOptions::Format;
using Split = DocumentOptions::Split;

// Each character of the table's text stands for a byte.
std::string bytes_of(const std::string& utf8) {
  std::string bytes;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    bytes += c < 0x80 ? char(c) : char((c & 0x03) << 6 | (utf8[++i] & 0x3F));
  }
  return bytes;
}

DocumentOptions options_of(const json& row) {
  const std::map<std::string, Format> forms = {
      {"automatic", Format::automatic}, {"text", Format::text}, {"jsonl", Format::jsonl}};
  const std::map<std::string, Split> splits = {{"file", Split::file},
                                               {"line", Split::line},
                                               {"blank-line", Split::blank_line},
                                               {"prefix", Split::prefix}};
  return {.format = forms.at(row.value("form", "automatic")),
          .split = splits.at(row.value("split", "file")),
          .prefix = row.value("prefix", ""),
          .field = row.value("field", "text")};
}

TEST(TextRules, AreThoseOfTheTable) {
  const json table =
      json::parse(read_file(BIRKHOFF_SOURCE_DIR "/tests/golden/text_rules.json", size_t(1) << 20));
  EXPECT_GT(table.size(), 100u);
  const Scratch dir;
  for (const json& row : table) {
    SCOPED_TRACE(row["name"]);
    const Path file = dir / row["file"].get<std::string>();
    put(file, bytes_of(row["input"]));
    std::vector<std::string> documents;
    int64_t bad = 0;
    DocumentReader reader{.document = [&](auto text) { documents.emplace_back(text); }};
    reader.bad_line = [&](const std::string& what) {
      if (bad++ == row.value("skip", 0)) throw DataError(what);
    };
    const std::string wrong = data_error([&] { read_documents(file, options_of(row), reader); });
    if (row.contains("refused")) {
      EXPECT_THAT(wrong, HasSubstr(row["refused"].get<std::string>()));
      EXPECT_THAT(wrong, HasSubstr(file.string()));
      continue;
    }
    EXPECT_EQ(wrong, "");
    EXPECT_EQ(documents, row["documents"].get<std::vector<std::string>>());
    EXPECT_EQ(bad, row.value("bad", 0));
  }
}

// The first line is longer than the part that is inspected to recognise JSON lines.
TEST(TextRules, OneLongObjectIsNotTakenForText) {
  const Scratch dir;
  const auto wrong = [&](const std::string& text) {
    put(dir / "a.txt", text);
    return data_error([&] { read_documents(dir / "a.txt", {}, {.document = [](auto) {}}); });
  };
  const std::string letters(3 << 20, 'x');
  EXPECT_THAT(wrong("{ \"text\": \"" + letters + "\"}"), HasSubstr("--jsonl"));
  EXPECT_THAT(wrong("{\"text\": 1}\n{\"text\": \"" + letters), HasSubstr("--jsonl"));
  EXPECT_EQ(wrong("{" + letters), "");
  EXPECT_EQ(wrong("{\"text\": 1}\nx" + letters), "");
}

}  // namespace
}  // namespace birkhoff::testing
