#pragma once
// One string out of one JSON object, without building the rest: memory is that of the line,
// whatever it nests. Stateless, so thread-safe.
#include <string>
#include <string_view>

namespace birkhoff {

// Sets `text` to the string `field` of the object in `line`. Returns what is wrong, in one line fit
// for a log, or "" if nothing is: not JSON, not an object, no such field, no string, given twice.
std::string json_text(std::string_view line, const std::string& field, std::string& text);

}  // namespace birkhoff
