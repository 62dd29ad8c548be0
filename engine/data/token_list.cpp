#include "engine/data/token_list.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace birkhoff {
namespace {

class Scanner {
 public:
  Scanner(std::string_view text, const Path& path) : text_(text), path_(path) {}

  std::vector<int32_t> run() {
    space();
    const bool is_array = take('[');
    space();
    const bool is_empty = is_array ? peek() == ']' : at_ == text_.size();
    while (!is_empty) {
      ids_.push_back(id());
      const bool is_apart = space();
      if (peek() == (is_array ? ']' : '\0')) break;
      if (!take(',') && (is_array || !is_apart)) refuse(is_array ? "a comma" : "a space or comma");
      space();
    }
    if (is_array && !take(']')) refuse("']'");
    space();
    if (at_ < text_.size()) refuse("the end of the file");
    return std::move(ids_);
  }

 private:
  [[noreturn]] void refuse(std::string_view wanted) const {
    const std::string_view found = text_.substr(at_, 16);
    throw DataError(fmt::format(
        "{}: byte {}: found {} instead of {}; the file must hold decimal token ids separated by "
        "spaces, line breaks or commas, or a JSON array of them",
        printable(path_.string()), at_,
        found.empty() ? "the end of the file" : fmt::format("'{}'", printable(found)), wanted));
  }

  // '\0' at the end. A NUL in the text is refused, since it is no id.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) { return peek() == c && at_ < text_.size() && (++at_, true); }

  bool space() {
    const size_t before = at_;
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    return at_ > before;
  }

  int32_t id() {
    const std::string_view rest = text_.substr(at_);
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    int32_t value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + digits, value);
    const bool has_zeros = digits > 1 && rest[0] == '0';
    if (error != std::errc() || has_zeros) refuse("a token id below 2^31 without leading zeros");
    at_ += digits;
    return value;
  }

  std::string_view text_;
  const Path& path_;
  size_t at_ = 0;
  std::vector<int32_t> ids_;
};

}  // namespace

std::vector<int32_t> parse_token_list(std::string_view text, const Path& path) {
  return Scanner(text, path).run();
}

}  // namespace birkhoff
