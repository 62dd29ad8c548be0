#pragma once
// Documents out of text and JSON lines, streamed: memory is that of one document (at most
// kMaxDocument bytes) and a read buffer. The rules are those of docs/formats/text.md, and
// scripts/tokenize.py has the same. Errors are DataError with file:line. Stateless, so thread-safe.
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
  // What ends a document of a text file. The line end before a border is part of the border.
  enum class Split {
    file,        // nothing: a file is a document, byte for byte
    line,        // each line
    blank_line,  // one or more lines of white space alone
    prefix,      // a line that begins with `prefix`: left out itself
  };
  Format format = Format::automatic;
  Split split = Split::file;
  std::string prefix = {};     // of Split::prefix, not empty
  std::string field = "text";  // of a JSON object: the string that is the document (TextField)
};

struct DocumentReader {
  std::function<void(std::string_view text)> document = {};  // called once a document, in order
  std::function<void(int64_t bytes)> progress = {};  // called now and then: bytes read so far
  // Called with what is wrong with a line of JSON; returns to skip the line. Null: it is thrown.
  std::function<void(const std::string& what)> bad_line = {};
};

// "-" is the standard input. Empty documents are passed on like others.
void read_documents(const Path& file, const DocumentOptions& options, const DocumentReader& reader);

}  // namespace birkhoff
