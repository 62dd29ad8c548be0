#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "engine/data/documents.h"
#include "engine/data/file_kind.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

using nlohmann::json;
using Format = DocumentOptions::Format;
using Split = DocumentOptions::Split;

constexpr const char* kPrefix = "##";

// Stands for half a surrogate pair: characters that occur nowhere else.
constexpr std::string_view kHalf = "\uFDD0\uFDD1";

// The expected result by the simplest means: all lines in memory, JSON as a tree.
struct Expected {
  std::vector<std::string> documents = {};
  bool refused = false;  // after these documents
};

bool is_utf8(std::string_view text) {
  try {
    return !json(text).dump().empty();
  } catch (const json::exception&) {
    return false;
  }
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    if (end < text.size() && lines.back().ends_with('\r')) lines.back().pop_back();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool is_blank(const std::string& line) {
  return std::all_of(line.begin(), line.end(), [](char c) {
    return std::string_view(" \t\r\v\f").find(c) != std::string::npos;
  });
}

// Number of characters of `text` that are a JSON number, or one of the names that Python writes.
size_t number_at(std::string_view text) {
  for (const std::string_view word : {"NaN", "Infinity", "-Infinity"})
    if (text.starts_with(word)) return word.size();
  size_t best = 0;
  for (size_t n = 1; n <= text.size() && std::string_view("+-.0123456789eE").find(text[n - 1]) !=
                                             std::string_view::npos;
       ++n) {
    // Cut each exponent to one digit: its size must not affect what counts as a number.
    std::string part(text.substr(0, n));
    const size_t e = part.find_first_of("eE");
    const size_t digit = e == part.npos ? part.npos : part.find_first_of("0123456789", e);
    if (digit != part.npos && part.find_first_not_of("0123456789", digit) == part.npos)
      part.resize(digit + 1);
    if (part.size() < 300 ? json::accept(part) : part.find_first_not_of("0123456789") == part.npos)
      best = n;
  }
  return best;
}

// The code of an escape like \u12ab, or −1.
int code_at(std::string_view text) {
  if (text.size() < 6 || !text.starts_with("\\u")) return -1;
  for (const char c : text.substr(2, 4))
    if (!std::isxdigit(static_cast<unsigned char>(c))) return -1;
  return std::stoi(std::string(text.substr(2, 4)), nullptr, 16);
}

// JSON that nlohmann's parser accepts if ours is to accept `line`: numbers become 0, and half a
// surrogate pair becomes kHalf.
std::string plain_json(std::string_view line) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < line.size();) {
    const std::string_view rest = line.substr(i);
    const size_t number = in_string ? 0 : number_at(rest);
    size_t taken = 1;
    if (number > 0) {
      out += " 0 ", taken = number;
    } else if (const int code = in_string ? code_at(rest) : -1; code >= 0xD800 && code < 0xE000) {
      const int next = code_at(rest.substr(6));
      const bool is_pair = code < 0xDC00 && next >= 0xDC00 && next < 0xE000;
      taken = is_pair ? 12 : 6;
      out += is_pair ? rest.substr(0, 12) : kHalf;
    } else {
      if (in_string && rest.size() > 1 && rest[0] == '\\') taken = 2;
      if (rest[0] == '"') in_string = !in_string;
      out += rest.substr(0, taken);
    }
    i += taken;
  }
  return out;
}

std::optional<std::string> json_document(const std::string& line) {
  int depth = 0, given = 0, deepest = 0;
  const auto count = [&](int, json::parse_event_t event, json& value) {
    using Event = json::parse_event_t;
    depth += (event == Event::object_start || event == Event::array_start) -
             (event == Event::object_end || event == Event::array_end);
    deepest = std::max(deepest, depth);
    given += event == Event::key && depth == 1 && value == "text";
    return true;
  };
  if (line.find('\0') != std::string::npos || line.starts_with("\xEF\xBB\xBF")) return {};
  const json tree = json::parse(plain_json(line), count, false);
  if (!tree.is_object() || given != 1 || deepest > 512 || !tree.at("text").is_string()) return {};
  std::string text = tree.at("text").get<std::string>();
  if (text.find(kHalf) != std::string::npos) return {};
  return text;
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
  if (kind_of_file(text)) return {.refused = true};
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (options.format == Format::jsonl) return jsonl(text);
  if (text.find('\0') != text.npos || !is_utf8(text)) return {.refused = true};
  switch (options.split) {
    case Split::line: {
      Expected out{lines_of(text)};
      for (std::string& line : out.documents)
        if (is_blank(line)) line.clear();
      return out;
    }
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
  if (bytes.find("\uFDD0") != bytes.npos || bytes.find("fdd0") != bytes.npos) return false;
  const Expected wanted = expected(bytes, options);
  std::vector<std::string> got;
  const DocumentReader reader = {
      .document = [&](std::string_view text) { got.emplace_back(text); }};
  const Path file = memory_file(bytes);
  const bool accepted = accepts<DataError>([&] { read_documents(file, options, reader); });
  require(accepted != wanted.refused, "accepted: {}, by a slow reading: {}", accepted,
          !wanted.refused);
  // Text is refused where the fault lies, after the documents before it.
  if (!accepted && options.format == Format::text) return false;
  require(got == wanted.documents, "{} documents, by a slow reading {}", got.size(),
          wanted.documents.size());
  return accepted;
}

}  // namespace birkhoff::fuzz
