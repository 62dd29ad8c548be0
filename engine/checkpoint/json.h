#pragma once
// Parses JSON of untrusted origin: bytes and depth are bounded before parsing, duplicate keys are
// refused, every field is read by name and type, and none may be left over. Errors are JsonError;
// callers turn them into the error of their format, with the file's name. Thread-safe: no state.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct JsonLimits {
  size_t bytes = 0;
  int depth = 8;  // of nested objects and arrays
};

// Throws if there is a NUL: the parser would take it for the end of the text and ignore the rest.
void refuse_nul(std::string_view text);

nlohmann::json parse_json(std::string_view text, const JsonLimits& limits);
std::string json_string(std::string_view text);  // quoted and escaped; invalid UTF-8 as U+FFFD
std::string utf8(std::string_view text);         // what a reader of json_string(text) gets

// The fields of one object. Each getter throws if the field is missing or of another type.
class JsonFields {
 public:
  // `where` names the object in messages, e.g. "files[3]".
  JsonFields(const nlohmann::json& object, std::string where);

  const nlohmann::json& at(const std::string& key);
  const nlohmann::json* find(const std::string& key);  // null: the object has no such field
  const nlohmann::json& array(const std::string& key);
  const std::string& text(const std::string& key);
  uint64_t count(const std::string& key, uint64_t limit = INT64_MAX);  // an integer in [0, limit]
  void done() const;  // throws if the object has a field that was never read

  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& object_;
  std::string where_;
  std::vector<std::string> asked_;
};

}  // namespace birkhoff
