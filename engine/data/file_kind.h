#pragma once
// Recognises files that are not text by their first bytes. docs/formats/text.md has the rule, and
// scripts/tokenize.py the same list. Thread-safe: no state.
#include <optional>
#include <string_view>

namespace birkhoff {

struct FileKind {
  std::string_view name;  // "gzip"
  // A command that prints the text of the file it is given, or "" if there is no simple one.
  std::string_view reader;
};

// `head` is the first 512 bytes of a file, or all of it. nullopt: no known format.
std::optional<FileKind> kind_of_file(std::string_view head);

}  // namespace birkhoff
