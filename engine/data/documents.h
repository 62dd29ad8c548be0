#pragma once
// Documents out of text and JSONL files, streamed: memory is that of one document (at most
// kMaxDocument bytes) and a read buffer. Bytes are passed through as they are; JSON strings are
// unescaped. Errors are DataError with file:line. Stateless, so thread-safe.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/files.h"

namespace birkhoff {

inline constexpr int64_t kMaxDocument = int64_t(1) << 30;

struct DocumentOptions {
  enum class Format {
    automatic,  // JSONL if the name ends in .jsonl, text otherwise
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
  std::string field = "text";  // of a JSON object: the string that is the document
};

struct DocumentReader {
  std::function<void(std::string_view text)> document = {};  // called once a document, in order
  std::function<void(int64_t bytes)> progress = {};  // called now and then: bytes read so far
};

// "-" is the standard input. Empty documents are passed on like others.
void read_documents(const Path& file, const DocumentOptions& options, const DocumentReader& reader);

}  // namespace birkhoff
