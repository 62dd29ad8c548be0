#pragma once
// UTF-8 validation, also of text that arrives in pieces.
#include <cstdint>
#include <optional>
#include <string_view>

namespace birkhoff {

// Checks that bytes are UTF-8 as Unicode defines it: no surrogates, nothing above U+10FFFF, no
// overlong forms. Not synchronised.
class Utf8Check {
 public:
  // Takes the pieces of a text in order. Returns the offset in the text of the first invalid
  // sequence, or nullopt. After it has returned an offset, the object must not be used.
  std::optional<int64_t> feed(std::string_view piece);
  // Called at the end of the text. Returns the offset of a truncated sequence, or nullopt.
  std::optional<int64_t> finish() const;

 private:
  int64_t offset_ = 0, start_ = 0;          // offset of the next piece; start of the open sequence
  int needed_ = 0;                          // bytes that the open sequence still needs
  unsigned char low_ = 0x80, high_ = 0xBF;  // bounds of its next byte
};

// The offset of the first invalid or truncated sequence, or nullopt.
std::optional<int64_t> utf8_error(std::string_view text);

}  // namespace birkhoff
