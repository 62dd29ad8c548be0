#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "engine/data/token_list.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

using Ids = std::vector<int32_t>;

constexpr std::string_view kSpace = " \t\r\n";
constexpr uint64_t kEnd = uint64_t(1) << 31;

std::vector<std::string> parts_of(std::string_view text, std::string_view borders) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (borders.find(c) == borders.npos)
      parts.back() += c;
    else
      parts.emplace_back();
  }
  return parts;
}

std::optional<Ids> array_of(std::string_view text) {
  const auto tree = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!tree.is_array() || text.find('\0') != text.npos) return {};
  Ids ids;
  for (const auto& value : tree) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= kEnd) return {};
    ids.push_back(value.get<int32_t>());
  }
  return ids;
}

// Parts between commas, each with at least one word, unless the text is empty.
std::optional<Ids> list_of(std::string_view text) {
  Ids ids;
  if (text.find_first_not_of(kSpace) == text.npos) return ids;
  for (const std::string& part : parts_of(text, ",")) {
    const size_t before = ids.size();
    for (const std::string& word : parts_of(part, kSpace)) {
      if (word.empty()) continue;
      const bool is_number = word.find_first_not_of("0123456789") == word.npos;
      if (!is_number || word.size() > 10 || (word.size() > 1 && word[0] == '0')) return {};
      const unsigned long long id = std::stoull(word);
      if (id >= kEnd) return {};
      ids.push_back(int32_t(id));
    }
    if (ids.size() == before) return {};
  }
  return ids;
}

}  // namespace

bool token_list(std::string_view bytes) {
  const size_t first = bytes.find_first_not_of(kSpace);
  const bool is_array = first != bytes.npos && bytes[first] == '[';
  const std::optional<Ids> wanted = is_array ? array_of(bytes) : list_of(bytes);
  Ids got;
  const bool accepted = accepts<DataError>([&] { got = parse_token_list(bytes, "F"); });
  require(accepted == wanted.has_value(), "accepted: {}, by a slow reading: {}", accepted,
          wanted.has_value());
  require(!accepted || got == *wanted, "{} ids, by a slow reading {}", got.size(),
          wanted ? wanted->size() : 0);
  return accepted;
}

}  // namespace birkhoff::fuzz
