#pragma once
// Files that are no text: known by their first bytes. docs/formats/text.md has the rule, and
// scripts/tokenize.py the same list. Thread-safe: no state.
#include <optional>
#include <string_view>

namespace birkhoff {

struct FileKind {
  std::string_view name;  // "gzip"
  // A command that prints the text of the file it is given, or "" if there is no simple one.
  std::string_view reader;
};

// `head` is the beginning of a file, 512 bytes or all of it. nullopt: no format that is known.
std::optional<FileKind> kind_of_file(std::string_view head);

}  // namespace birkhoff
