#include "engine/data/text_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/data/file_kind.h"

namespace birkhoff {
namespace {

constexpr size_t kBuffer = 1 << 20;
constexpr std::string_view kMark = "\xEF\xBB\xBF", kStandardInput = "(standard input)";

Descriptor open(const Path& path) {
  // Duplicates the standard input to keep its position: opening it anew would start from the
  // beginning.
  Descriptor file(path == "-" ? ::fcntl(0, F_DUPFD_CLOEXEC, 0)
                              : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0)
    throw DataError(fmt::format("cannot open {}: {}; check the input files",
                                printable(path.string()), std::strerror(errno)));
  return file;
}

}  // namespace

std::string piped(std::string_view command, std::string_view name, bool jsonl) {
  return fmt::format("{} {} | birkhoff data prepare {}--out PREFIX -", command,
                     name == kStandardInput ? "FILE" : name, jsonl ? "--jsonl " : "");
}

TextInput::TextInput(const Path& path, std::function<void(int64_t bytes)> progress)
    : name_(path == "-" ? kStandardInput : printable(path.string())),
      progress_(std::move(progress)),
      file_(open(path)),
      buffer_(kBuffer, '\0') {
  rest_ = fill();
  refuse_other_formats();
  if (rest_.starts_with(kMark)) rest_.remove_prefix(size_t(mark_ = kMark.size()));
}

std::string_view TextInput::fill() {
  size_t got = 0;
  while (got < buffer_.size()) {
    const ssize_t n = ::read(file_.get(), buffer_.data() + got, buffer_.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw DataError(fmt::format("cannot read {}: {}", name_, std::strerror(errno)));
    if (n == 0) break;
    got += size_t(n);
  }
  bytes_ += int64_t(got);
  if (progress_) progress_(bytes_);
  return std::string_view(buffer_).substr(0, got);
}

bool TextInput::is_longer_than_head() const { return bytes_ == int64_t(buffer_.size()); }

void TextInput::refuse_other_formats() const {
  const std::optional<FileKind> kind = kind_of_file(rest_);
  if (!kind) return;
  throw DataError(fmt::format(
      "{}: begins at byte 0 with {} data, which is not text; convert it: {}", name_, kind->name,
      kind->reader.empty() ? "write its text to a file of JSON lines, each {\"text\": ...}"
                           : piped(kind->reader, name_, name_.find(".json") != name_.npos)));
}

void TextInput::refuse(int64_t offset, std::string_view what) const {
  throw DataError(
      fmt::format("{}: {} at byte {}, so it is not UTF-8 text; convert it, for example: {}", name_,
                  what, offset, piped("iconv -f ENCODING -t UTF-8", name_, false)));
}

void TextInput::check(std::string_view piece) {
  const int64_t offset = mark_ + checked_;
  if (const size_t at = piece.find('\0'); at != piece.npos) refuse(offset + int64_t(at), "a NUL");
  if (const auto at = utf8_.feed(piece)) refuse(mark_ + *at, "an invalid sequence");
  checked_ += int64_t(piece.size());
  if (!piece.empty()) return;
  if (const auto at = utf8_.finish()) refuse(mark_ + *at, "an incomplete sequence");
}

std::string_view TextInput::read() {
  const std::string_view piece = rest_.empty() ? fill() : rest_;
  rest_ = {};
  check(piece);
  return piece;
}

bool TextInput::next_raw_line(std::string& line) {
  line.clear();
  has_end_ = false;
  while (true) {
    if (rest_.empty() && (rest_ = fill()).empty()) break;
    const size_t end = rest_.find('\n');
    line.append(rest_.substr(0, end));
    if (end != std::string_view::npos) {
      rest_.remove_prefix(end + 1);
      ++number_;
      return has_end_ = true;
    }
    rest_ = {};
    check_size(line.size());
  }
  number_ += !line.empty();
  return !line.empty();
}

bool TextInput::next_line(std::string& line) {
  const bool found = next_raw_line(line);
  check(line);
  if (has_end_) check("\n");
  if (has_end_ && line.ends_with('\r')) line.pop_back();
  return found;
}

void TextInput::check_size(size_t bytes) const {
  if (int64_t(bytes) > kMaxDocument)
    throw DataError(fmt::format("{}: a document has more than {} bytes; split it (--split)",
                                place(), kMaxDocument));
}

std::string TextInput::place() const {
  return number_ == 0 ? name_ : fmt::format("{}:{}", name_, number_);
}

}  // namespace birkhoff
