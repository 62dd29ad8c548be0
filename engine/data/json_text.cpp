#include "engine/data/json_text.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace birkhoff {
namespace {

using Json = nlohmann::json;

// The events of the parser. Each returns whether to go on.
class Finder {
 public:
  Finder(const std::string& field, std::string& text) : field_(field), text_(text) {}

  bool string(std::string& value) {
    if (!wanted()) return other();
    text_ = std::move(value);
    ++found_;
    armed_ = false;
    return true;
  }
  bool key(std::string& name) {
    armed_ = depth_ == 1 && name == field_;
    return true;
  }
  bool start_object(size_t) { return depth_ > 0 ? enter() : (++depth_, true); }
  bool start_array(size_t) { return enter(); }
  bool end_object() { return --depth_, true; }
  bool end_array() { return --depth_, true; }
  bool null() { return other(); }
  bool boolean(bool) { return other(); }
  bool number_integer(int64_t) { return other(); }
  bool number_unsigned(uint64_t) { return other(); }
  bool number_float(double, const std::string&) { return other(); }
  bool binary(Json::binary_t&) { return other(); }

  bool parse_error(size_t, const std::string&, const Json::exception& error) {
    const std::string_view what = error.what();  // "[json.exception.…] parse error at line 1, …"
    const size_t skip = what.find("] ");
    wrong_ = "not valid JSON: " +
             printable(skip == std::string_view::npos ? what : what.substr(skip + 2));
    return false;
  }

  std::string verdict() const {
    if (!wrong_.empty()) return wrong_;
    if (found_ == 0) return fmt::format("the object has no \"{}\"", printable(field_));
    if (found_ > 1) return fmt::format("\"{}\" is given twice", printable(field_));
    return "";
  }

 private:
  bool wanted() const { return depth_ == 1 && armed_; }

  // A value that is not the text: wrong where the text, or the object itself, should be.
  bool other() {
    if (depth_ == 0) return wrong_ = "not a JSON object", false;
    if (wanted()) return wrong_ = fmt::format("\"{}\" is not a string", printable(field_)), false;
    return true;
  }
  bool enter() { return other() && (++depth_, true); }

  const std::string& field_;
  std::string& text_;
  std::string wrong_;
  int64_t depth_ = 0, found_ = 0;
  bool armed_ = false;  // the last key at depth 1 was the field
};

}  // namespace

std::string json_text(std::string_view line, const std::string& field, std::string& text) {
  // The parser takes a NUL for the end of the text and would pass over all that follows.
  if (const size_t at = line.find('\0'); at != line.npos)
    return fmt::format("not valid JSON: a NUL at byte {}", at);
  Finder finder(field, text);
  Json::sax_parse(line.begin(), line.end(), &finder);
  return finder.verdict();
}

}  // namespace birkhoff
