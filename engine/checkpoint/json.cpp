#include "engine/checkpoint/json.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace birkhoff {
namespace {

using nlohmann::json;

// Throws if brackets nest deeper than `limit`. Ignores brackets in strings; text that is not JSON
// at all is left to the parser.
void bound_depth(std::string_view text, int limit) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit)
        throw JsonError(fmt::format("is nested deeper than {} levels at byte {}", limit, i));
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

}  // namespace

void refuse_nul(std::string_view text) {
  if (const size_t at = text.find('\0'); at != text.npos)
    throw JsonError(fmt::format("has a NUL at byte {}", at));
}

json parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    throw JsonError(
        fmt::format("has {} bytes, more than the {} allowed", text.size(), limits.bytes));
  refuse_nul(text);
  bound_depth(text, limits.depth);
  std::vector<std::set<std::string>> keys;  // of the open objects
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(value.get_ref<const std::string&>()).second)
      throw JsonError(
          fmt::format("has the key '{}' twice", printable(value.get_ref<const std::string&>())));
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::exception& e) {
    throw JsonError(fmt::format("is not valid JSON: {}", printable(e.what())));
  }
}

std::string json_string(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string utf8(std::string_view text) {
  return json::parse(json_string(text)).get<std::string>();
}

JsonFields::JsonFields(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) throw JsonError(fmt::format("{} is not an object", where_));
}

const json* JsonFields::find(const std::string& key) {
  const auto found = object_.find(key);
  if (found == object_.end()) return nullptr;
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.push_back(key);
  return &*found;
}

const json& JsonFields::at(const std::string& key) {
  const json* found = find(key);
  if (!found) throw JsonError(fmt::format("{} has no field '{}'", where_, key));
  return *found;
}

const json& JsonFields::array(const std::string& key) {
  const json& value = at(key);
  if (!value.is_array()) throw JsonError(fmt::format("{}.{} is not a list", where_, key));
  return value;
}

const std::string& JsonFields::text(const std::string& key) {
  const json& value = at(key);
  if (!value.is_string()) throw JsonError(fmt::format("{}.{} is not a string", where_, key));
  return value.get_ref<const std::string&>();
}

uint64_t JsonFields::count(const std::string& key, uint64_t limit) {
  const json& value = at(key);
  if (!value.is_number_unsigned() || value.get<uint64_t>() > limit)
    throw JsonError(fmt::format("{}.{} is not an integer from 0 to {}", where_, key, limit));
  return value.get<uint64_t>();
}

void JsonFields::done() const {
  if (object_.size() == asked_.size()) return;
  for (const auto& [key, value] : object_.items()) {
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end())
      throw JsonError(fmt::format("{} has an unknown field '{}'", where_, printable(key)));
  }
}

}  // namespace birkhoff
