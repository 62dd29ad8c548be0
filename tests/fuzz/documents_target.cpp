#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "engine/data/documents.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

using nlohmann::json;
using Format = DocumentOptions::Format;
using Split = DocumentOptions::Split;

constexpr const char* kPrefix = "##";

// What is to come out, by the simplest means: all lines in memory, JSON as a tree.
struct Expected {
  std::vector<std::string> documents = {};
  bool refused = false;  // behind these documents
};

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool is_blank(const std::string& line) {
  return std::all_of(line.begin(), line.end(), [](char c) {
    return std::string_view(" \t\r\v\f").find(c) != std::string::npos;
  });
}

std::optional<std::string> json_document(const std::string& line) {
  int depth = 0, given = 0;
  const auto count = [&](int, json::parse_event_t event, json& value) {
    using Event = json::parse_event_t;
    depth += (event == Event::object_start || event == Event::array_start) -
             (event == Event::object_end || event == Event::array_end);
    given += event == Event::key && depth == 1 && value == "text";
    return true;
  };
  if (line.find('\0') != std::string::npos) return {};
  const json tree = json::parse(line, count, false);
  if (!tree.is_object() || given != 1 || !tree.at("text").is_string()) return {};
  return tree.at("text").get<std::string>();
}

Expected jsonl(std::string_view text) {
  Expected out;
  for (const std::string& line : lines_of(text)) {
    if (is_blank(line)) continue;
    const std::optional<std::string> document = json_document(line);
    out.refused = !document;
    if (out.refused) break;
    out.documents.push_back(*document);
  }
  return out;
}

template <class IsBorder>
Expected blocks(std::string_view text, IsBorder is_border) {
  Expected out;
  bool begin = true;
  for (const std::string& line : lines_of(text)) {
    if (is_border(line))
      begin = true;
    else if (std::exchange(begin, false))
      out.documents.push_back(line);
    else
      out.documents.back() += "\n" + line;
  }
  return out;
}

Expected expected(std::string_view text, const DocumentOptions& options) {
  if (options.format == Format::jsonl) return jsonl(text);
  switch (options.split) {
    case Split::line:
      return {lines_of(text)};
    case Split::blank_line:
      return blocks(text, is_blank);
    case Split::prefix:
      return blocks(text, [](const std::string& line) { return line.starts_with(kPrefix); });
    case Split::file:
      break;
  }
  return {{std::string(text)}};
}

}  // namespace

bool documents(std::string_view bytes) {
  if (bytes.empty()) return false;
  constexpr Split kSplits[] = {Split::file, Split::line, Split::blank_line, Split::prefix};
  const unsigned how = static_cast<unsigned char>(bytes[0]) % 5;
  const DocumentOptions options = {.format = how == 4 ? Format::jsonl : Format::text,
                                   .split = kSplits[how % 4],
                                   .prefix = kPrefix};
  bytes.remove_prefix(1);
  const Expected wanted = expected(bytes, options);
  std::vector<std::string> got;
  const DocumentReader reader = {
      .document = [&](std::string_view text) { got.emplace_back(text); }};
  const Path file = memory_file(bytes);
  const bool accepted = accepts<DataError>([&] { read_documents(file, options, reader); });
  require(accepted != wanted.refused, "accepted: {}, by a slow reading: {}", accepted,
          !wanted.refused);
  require(got == wanted.documents, "{} documents, by a slow reading {}", got.size(),
          wanted.documents.size());
  return accepted;
}

}  // namespace birkhoff::fuzz
