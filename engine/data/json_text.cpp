#include "engine/data/json_text.h"

#include "base/error.h"
#include "base/utf8.h"

namespace birkhoff {
namespace {

using Fault = JsonText::Fault;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// UTF-8 of a code point; half a surrogate pair becomes three bytes that are not UTF-8.
void append_code(uint32_t code, std::string& text) {
  if (code < 0x80) {
    text += char(code);
  } else if (code < 0x800) {
    text += {char(0xC0 | code >> 6), char(0x80 | (code & 0x3F))};
  } else if (code < 0x10000) {
    text += {char(0xE0 | code >> 12), char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
  } else {
    text += {char(0xF0 | code >> 18), char(0x80 | (code >> 12 & 0x3F)),
             char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
  }
}

// Reads a line once, from left to right; each function leaves `at_` after what it has read.
class Scanner {
 public:
  Scanner(std::string_view line, const TextField& field, std::string& text)
      : line_(line), field_(field), text_(text), seen_(field.parts.size(), 0) {}

  JsonText run() {
    skip_space();
    if (peek() != '{') syntax(at_ == line_.size() ? "found nothing" : "not a JSON object");
    object(0, 1);
    skip_space();
    if (at_ < line_.size()) syntax("text after the object");
    if (given_ > 1) fail(Fault::field, fmt::format("{} is given twice", shown()));
    if (given_ == 0) fail(Fault::field, fmt::format("the object has no {}", shown()));
    if (!wrong_.empty()) fail(Fault::field, wrong_);
    return {};
  }

 private:
  [[noreturn]] static void fail(Fault fault, std::string what) {
    throw JsonText{fault, std::move(what)};
  }
  [[noreturn]] void syntax(std::string_view what) const {
    fail(Fault::syntax, fmt::format("not valid JSON: {} at byte {}", what, at_));
  }
  // The line has ended, or has something that is not allowed here.
  [[noreturn]] void expected(std::string_view what) const {
    if (at_ == line_.size())
      fail(Fault::early, fmt::format("not valid JSON: the line ends where {} is expected", what));
    syntax(fmt::format("expected {}", what));
  }

  std::string shown() const { return fmt::format("\"{}\"", printable(field_.name)); }
  char peek() const { return at_ < line_.size() ? line_[at_] : '\0'; }  // NULs were refused
  void skip_space() { at_ = std::min(line_.find_first_not_of(" \t\n\r", at_), line_.size()); }
  bool take(std::string_view word) {
    if (!line_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  // `part` is how many parts of the field's name have led here; −1: this object is not on the path.
  void object(int part, int depth) {
    enter(depth);
    if (take("}")) return;
    std::string key;
    while (true) {
      if (peek() != '"') expected("a key in quotes");
      key.clear();
      string(part >= 0 ? &key : nullptr);
      skip_space();
      if (!take(":")) expected("':'");
      skip_space();
      value_of(key, part, depth);
      skip_space();
      if (take("}")) return;
      if (!take(",")) expected("',' or '}'");
      skip_space();
    }
  }

  void value_of(const std::string& key, int part, int depth) {
    const auto& parts = field_.parts;
    const bool leads = part >= 0 && key == parts[size_t(part)];
    const bool is_last = leads && size_t(part) + 1 == parts.size();
    if (leads && !is_last && ++seen_[size_t(part)] > 1) given_ += 2;
    if (is_last || (depth == 1 && key == field_.name)) return text_value(depth);
    value(leads ? part + 1 : -1, depth);
  }

  void text_value(int depth) {
    ++given_;
    if (peek() != '"') {
      if (at_ < line_.size()) wrong_ = fmt::format("{} is not a string", shown());
      return value(-1, depth);
    }
    text_.clear();
    string(&text_);
    if (utf8_error(text_)) wrong_ = fmt::format("{} has an unpaired surrogate", shown());
  }

  void value(int part, int depth) {
    const char c = peek();
    if (c == '{') return object(part, depth + 1);
    if (c == '[') return array(depth + 1);
    if (c == '"') return string(nullptr);
    if (c == '-' || is_digit(c)) return number();
    for (const std::string_view word : {"true", "false", "null", "NaN", "Infinity"})
      if (take(word)) return;
    expected("a value");
  }

  void array(int depth) {
    enter(depth);
    if (take("]")) return;
    while (true) {
      value(-1, depth);
      skip_space();
      if (take("]")) return;
      if (!take(",")) expected("',' or ']'");
      skip_space();
    }
  }

  // Called at a bracket.
  void enter(int depth) {
    if (depth > kMaxJsonDepth)
      fail(Fault::syntax,
           fmt::format("JSON is nested deeper than {} levels at byte {}", kMaxJsonDepth, at_));
    ++at_;
    skip_space();
  }

  void digits() {
    if (!is_digit(peek())) expected("a digit");
    while (is_digit(peek())) ++at_;
  }

  void number() {
    if (take("-") && take("Infinity")) return;
    if (!take("0")) digits();
    if (take(".")) digits();
    if (take("e") || take("E")) {
      if (!take("+")) take("-");
      digits();
    }
  }

  // Appends what the quotes hold to `out`, unless that is null.
  void string(std::string* out) {
    const size_t begin = at_++;
    while (true) {
      const size_t from = at_;
      while (at_ < line_.size() && line_[at_] != '"' && line_[at_] != '\\' &&
             static_cast<unsigned char>(line_[at_]) >= 0x20)
        ++at_;
      if (out) out->append(line_.substr(from, at_ - from));
      if (take("\"")) return;
      if (at_ == line_.size())
        fail(Fault::syntax,
             fmt::format("not valid JSON: the string that begins at byte {} is not closed", begin));
      if (peek() != '\\') syntax("a control character in a string");
      escape(out);
    }
  }

  void escape(std::string* out) {
    ++at_;
    if (take("u")) {
      uint32_t code = hex();
      if (code >= 0xD800 && code < 0xDC00 && line_.substr(at_).starts_with("\\u")) {
        const size_t back = at_;
        at_ += 2;
        const uint32_t low = hex();
        if (low >= 0xDC00 && low < 0xE000)
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        else
          at_ = back;  // read again, as a character of its own
      }
      if (out) append_code(code, *out);
      return;
    }
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    const size_t which = at_ < line_.size() ? kNames.find(line_[at_]) : kNames.npos;
    if (which == kNames.npos) syntax("an unknown escape sequence");
    ++at_;
    if (out) *out += kValues[which];
  }

  uint32_t hex() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) syntax("expected a hexadecimal digit");
      code = code << 4 | uint32_t(digit);
    }
    return code;
  }

  std::string_view line_;
  const TextField& field_;
  std::string& text_;
  size_t at_ = 0;
  int given_ = 0;          // how often the field is given; more if its path is given twice
  std::vector<int> seen_;  // by part: how often an object on the path was given
  std::string wrong_;      // what is wrong with the field's value
};

}  // namespace

TextField::TextField(std::string field) : name(std::move(field)) {
  size_t begin = 0;
  for (size_t dot; (dot = name.find('.', begin)) != std::string::npos; begin = dot + 1)
    parts.push_back(name.substr(begin, dot - begin));
  parts.push_back(name.substr(begin));
}

JsonText json_text(std::string_view line, const TextField& field, std::string& text) {
  if (const size_t at = line.find('\0'); at != line.npos)
    return {Fault::syntax, fmt::format("not valid JSON: a NUL at byte {}", at)};
  if (const auto at = utf8_error(line))
    return {Fault::syntax, fmt::format("not valid JSON: not UTF-8 at byte {}", *at)};
  try {
    return Scanner(line, field, text).run();
  } catch (const JsonText& wrong) {
    return wrong;
  }
}

}  // namespace birkhoff
