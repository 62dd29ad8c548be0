#include "base/utf8.h"

#include <cstring>

namespace birkhoff {
namespace {

// A lower bound of the number of ASCII bytes at the beginning of `text`.
size_t ascii_prefix(std::string_view text) {
  size_t at = 0;
  for (uint64_t word; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if (word & 0x8080808080808080) break;
  }
  return at;
}

struct Lead {
  int needed;               // continuation bytes that follow; 0: not a first byte
  unsigned char low, high;  // bounds of the first continuation byte
};

constexpr Lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {3, 0x80, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

std::optional<int64_t> Utf8Check::feed(std::string_view piece) {
  for (size_t i = 0; i < piece.size(); ++i) {
    if (needed_ == 0) {
      i += ascii_prefix(piece.substr(i));
      if (i == piece.size()) break;
    }
    const auto byte = static_cast<unsigned char>(piece[i]);
    if (needed_ > 0) {
      if (byte < low_ || byte > high_) return start_;
      --needed_;
      low_ = 0x80, high_ = 0xBF;
    } else if (byte >= 0x80) {
      start_ = offset_ + int64_t(i);
      const Lead lead = lead_of(byte);
      if (lead.needed == 0) return start_;
      needed_ = lead.needed, low_ = lead.low, high_ = lead.high;
    }
  }
  offset_ += int64_t(piece.size());
  return std::nullopt;
}

std::optional<int64_t> Utf8Check::finish() const {
  return needed_ > 0 ? std::optional(start_) : std::nullopt;
}

std::optional<int64_t> utf8_error(std::string_view text) {
  Utf8Check check;
  const std::optional<int64_t> wrong = check.feed(text);
  return wrong ? wrong : check.finish();
}

}  // namespace birkhoff
