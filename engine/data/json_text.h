#pragma once
// Extracts one string from one JSON object without building the rest: memory is that of the line,
// however deeply it nests. Stateless, so thread-safe.
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

inline constexpr int kMaxJsonDepth = 512;

// Which string is the text: the key `name` of the object or, if the name has dots, also the one
// that its parts lead to, from object to object: "meta.text" is {"meta": {"text": …}}.
struct TextField {
  explicit TextField(std::string field);

  std::string name;
  std::vector<std::string> parts;
};

struct JsonText {
  enum class Fault {
    none,
    syntax,  // not JSON, not UTF-8, a NUL, not an object, nested too deep
    early,   // the line ends where the object could continue
    field,   // no such string, or given twice
  };
  Fault fault = Fault::none;
  std::string what = {};  // one line, fit for a log
};

// Sets `text` to the field's string in the object in `line`. JSON is that of RFC 8259, with numbers
// of any size, and NaN, Infinity and -Infinity, which Python writes. Half a surrogate pair is a
// fault only in the text itself.
JsonText json_text(std::string_view line, const TextField& field, std::string& text);

}  // namespace birkhoff
