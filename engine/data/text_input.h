#pragma once
// An input of `birkhoff data prepare` as text: refuses what is not UTF-8 text, and drops a byte
// order mark at the beginning (docs/formats/text.md). Memory is a buffer of 1 MiB and a line.
// Errors are DataError (exit code 3) with the file's name and the position. For one thread.
#include <functional>
#include <string>
#include <string_view>

#include "base/directory.h"
#include "base/utf8.h"

namespace birkhoff {

inline constexpr int64_t kMaxDocument = int64_t(1) << 30;

class TextInput {
 public:
  // Reads the first MiB. "-" is the standard input. Throws if the file cannot be opened, or has a
  // format that is not text. `progress` may be null; it is called with the bytes read so far.
  TextInput(const Path& path, std::function<void(int64_t bytes)> progress);

  // The first MiB, or the whole input if shorter, without the mark; valid until the first read.
  std::string_view head() const { return rest_; }
  bool is_longer_than_head() const;

  // The next piece of text, empty at the end; valid until the next call. Throws if it is not UTF-8
  // or has a NUL.
  std::string_view read();

  // The next line as it is, unchecked and without its '\n'; false at the end. What follows the last
  // '\n' is a line unless it is empty.
  bool next_raw_line(std::string& line);
  // The same, checked as read() is, and without the '\r' of a line end "\r\n".
  bool next_line(std::string& line);

  // Throws if a document of `bytes` bytes is too long.
  void check_size(size_t bytes) const;

  const std::string& name() const { return name_; }  // fit for a log
  std::string place() const;                         // "FILE" or "FILE:LINE", of the last line

 private:
  std::string_view fill();  // the next bytes of the file
  void refuse_other_formats() const;
  void check(std::string_view piece);
  [[noreturn]] void refuse(int64_t offset, std::string_view what) const;

  std::string name_;
  std::function<void(int64_t bytes)> progress_;
  Descriptor file_;
  std::string buffer_;
  std::string_view rest_;  // the part of buffer_ not yet read
  Utf8Check utf8_;
  int64_t bytes_ = 0;     // read from the file
  int64_t mark_ = 0;      // bytes of the byte order mark
  int64_t checked_ = 0;   // bytes of text checked
  int64_t number_ = 0;    // of the last line
  bool has_end_ = false;  // the last line has a '\n'
};

// How to pipe the text that `command` prints from `name`, "FILE" for the standard input, into
// prepare.
std::string piped(std::string_view command, std::string_view name, bool jsonl);

}  // namespace birkhoff
