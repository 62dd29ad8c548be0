#pragma once
// Reads documents from text and JSON lines, in memory for one document (at most kMaxDocument bytes)
// and a read buffer. docs/formats/text.md has the rules, and scripts/tokenize.py follows the same
// ones. Errors are DataError with file:line. Stateless, so thread-safe.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/files.h"

namespace birkhoff {

struct DocumentOptions {
  enum class Format {
    automatic,  // JSON lines if the name ends in .json, .jsonl or .ndjson, text otherwise
    text,
    jsonl,
  };
  // What ends a document of a text file. The line end before a separator is part of the separator.
  enum class Split {
    file,        // nothing: a file is a document, byte for byte
    line,        // each line
    blank_line,  // one or more lines of only white space
    prefix,      // a line that begins with `prefix`, which is left out itself
  };
  Format format = Format::automatic;
  Split split = Split::file;
  std::string prefix = {};     // for Split::prefix, not empty
  std::string field = "text";  // in a JSON object: the string that is the document (TextField)
};

struct DocumentReader {
  std::function<void(std::string_view text)> document = {};  // called for each document, in order
  std::function<void(int64_t bytes)> progress = {};  // called now and then: bytes read so far
  // Called with what is wrong with a line of JSON; the line is skipped if it returns. Null: throws.
  std::function<void(const std::string& what)> bad_line = {};
};

// "-" is the standard input. Empty documents are passed on like others.
void read_documents(const Path& file, const DocumentOptions& options, const DocumentReader& reader);

}  // namespace birkhoff
