#pragma once
// Checks of text that comes in pieces.
#include <cstdint>
#include <optional>
#include <string_view>

namespace birkhoff {

// Whether bytes are UTF-8 as Unicode defines it: no surrogates, nothing above U+10FFFF, no form
// longer than needed. Not synchronised.
class Utf8Check {
 public:
  // The pieces of a text in order. Returns the offset in the text of the first sequence that is
  // wrong, or nullopt; after an offset the object is done.
  std::optional<int64_t> feed(std::string_view piece);
  // At the end of the text: the offset of a sequence that was cut, or nullopt.
  std::optional<int64_t> finish() const;

 private:
  int64_t offset_ = 0, start_ = 0;          // of the next byte; of the sequence that is open
  int needed_ = 0;                          // bytes to come of that sequence
  unsigned char low_ = 0x80, high_ = 0xBF;  // bounds of the next one
};

// The offset of the first wrong or cut sequence, or nullopt.
std::optional<int64_t> utf8_error(std::string_view text);

}  // namespace birkhoff
