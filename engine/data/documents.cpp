#include "engine/data/documents.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "engine/data/json_text.h"

namespace birkhoff {
namespace {

constexpr size_t kBuffer = 1 << 20;

class Input {
 public:
  Input(const Path& path, const DocumentReader& reader)
      : name_(path == "-" ? "(standard input)" : printable(path.string())),
        reader_(reader),
        file_(open(path)),
        buffer_(kBuffer, '\0') {}

  // The next piece of the file, empty at its end; good until the next call.
  std::string_view read() {
    while (true) {
      const ssize_t n = ::read(file_.descriptor(), buffer_.data(), buffer_.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw DataError(fmt::format("cannot read {}: {}", name_, std::strerror(errno)));
      bytes_ += n;
      if (reader_.progress) reader_.progress(bytes_);
      return std::string_view(buffer_).substr(0, size_t(n));
    }
  }

  // The next line without its '\n'; false at the end. What follows the last '\n' is a line unless
  // it is empty.
  bool next_line(std::string& line) {
    line.clear();
    while (true) {
      if (rest_.empty() && (rest_ = read()).empty()) break;
      const size_t end = rest_.find('\n');
      line.append(rest_.substr(0, end));
      if (end != std::string_view::npos) {
        rest_.remove_prefix(end + 1);
        ++number_;
        return true;
      }
      rest_ = {};
      check_size(line.size());
    }
    number_ += !line.empty();
    return !line.empty();
  }

  void check_size(size_t bytes) const {
    if (int64_t(bytes) > kMaxDocument)
      throw DataError(fmt::format("{}: a document has more than {} bytes: split it (--split)",
                                  place(), kMaxDocument));
  }

  std::string place() const { return number_ == 0 ? name_ : fmt::format("{}:{}", name_, number_); }

  void document(std::string_view text) const { reader_.document(text); }

 private:
  static File open(const Path& path) {
    try {
      return File(path == "-" ? Path("/dev/stdin") : path, O_RDONLY);
    } catch (const ResourceError& error) {
      throw DataError(fmt::format("{}: check the input files", error.what()));
    }
  }

  std::string name_;
  const DocumentReader& reader_;
  File file_;
  std::string buffer_;
  std::string_view rest_;  // of buffer_, not yet taken by next_line
  int64_t bytes_ = 0, number_ = 0;
};

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

void read_whole(Input& input) {
  std::string text;
  for (std::string_view piece; !(piece = input.read()).empty();) {
    text += piece;
    input.check_size(text.size());
  }
  input.document(text);
}

// Lines up to a border are a document; is_border says which lines are, `keep_empty` whether two
// borders in a row enclose one.
template <class IsBorder>
void read_blocks(Input& input, IsBorder is_border) {
  std::string text, line;
  bool open = false;  // a line of a document has been seen
  const auto close = [&] {
    if (open) input.document(text);
    text.clear();
    open = false;
  };
  while (input.next_line(line)) {
    if (is_border(line)) {
      close();
      continue;
    }
    if (open) text += '\n';
    text += line;
    open = true;
    input.check_size(text.size());
  }
  close();
}

// A line that is no JSON object has none for any --field.
bool about_field(std::string_view wrong) { return !wrong.starts_with("not "); }

void read_jsonl(Input& input, const std::string& field) {
  std::string line, text;
  while (input.next_line(line)) {
    if (is_blank(line)) continue;
    if (const std::string wrong = json_text(line, field, text); !wrong.empty())
      throw DataError(fmt::format("{}: {}; mend or remove the line{}", input.place(), wrong,
                                  about_field(wrong) ? ", or choose another --field" : ""));
    input.document(text);
  }
}

}  // namespace

void read_documents(const Path& file, const DocumentOptions& options,
                    const DocumentReader& reader) {
  using Format = DocumentOptions::Format;
  using Split = DocumentOptions::Split;
  Input input(file, reader);
  if (options.format == Format::jsonl ||
      (options.format == Format::automatic && file.extension() == ".jsonl"))
    return read_jsonl(input, options.field);
  std::string line;
  switch (options.split) {
    case Split::file:
      return read_whole(input);
    case Split::line:
      while (input.next_line(line)) input.document(line);
      return;
    case Split::blank_line:
      return read_blocks(input, is_blank);
    case Split::prefix:
      check(!options.prefix.empty(), "splitting by an empty prefix");
      return read_blocks(input, [&](std::string_view l) { return l.starts_with(options.prefix); });
  }
}

}  // namespace birkhoff
