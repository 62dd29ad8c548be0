#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace birkhoff {
namespace {

// Encodes a code point as defined; surrogates and too large ones are encoded too.
std::string encoded(uint32_t code, int bytes) {
  if (bytes == 1) return {char(code)};
  std::string out;
  for (int i = 1; i < bytes; ++i, code >>= 6) out.insert(out.begin(), char(0x80 | (code & 0x3F)));
  out.insert(out.begin(), char((0xFF00 >> bytes & 0xFF) | code));
  return out;
}

bool is_scalar(uint32_t code) { return code < 0x110000 && (code < 0xD800 || code >= 0xE000); }

TEST(Utf8, TakesEachCodeInItsShortestFormAlone) {
  const uint32_t first[] = {0, 0, 0x80, 0x800, 0x10000},
                 end[] = {0, 0x80, 0x800, 0x10000, 0x200000};
  for (int bytes = 1; bytes <= 4; ++bytes)
    for (uint32_t code = 0; code < end[bytes]; code += 1 + code / 4096)
      EXPECT_EQ(!utf8_error(encoded(code, bytes)), code >= first[bytes] && is_scalar(code))
          << code << " in " << bytes;
  for (const uint32_t code : {0xD7FFu, 0xD800u, 0xDFFFu, 0xE000u, 0xFFFFu, 0x10FFFFu, 0x110000u})
    EXPECT_EQ(!utf8_error(encoded(code, code < 0x10000 ? 3 : 4)), is_scalar(code)) << code;
}

// A fault at different offsets of a text that comes in pieces of each size.
TEST(Utf8, NamesThePlaceHoweverTheTextIsCut) {
  const std::string good = "abcdefgh\u00e9\u65e5\U0001F642ijklmnopqrstuvwxyz\u00e9";
  const std::pair<std::string, int64_t> texts[] = {{good, -1},
                                                   {good + "\x80" + good, int64_t(good.size())},
                                                   {good + "\xE2\x82" + good, int64_t(good.size())},
                                                   {good + "\xE2\x82", int64_t(good.size())},
                                                   {good + "\xFF", int64_t(good.size())}};
  for (const auto& [text, place] : texts)
    for (size_t size = 1; size <= text.size(); ++size) {
      Utf8Check check;
      std::optional<int64_t> found;
      for (size_t at = 0; at < text.size() && !found; at += size)
        found = check.feed(std::string_view(text).substr(at, size));
      if (!found) found = check.finish();
      EXPECT_EQ(found.value_or(-1), place) << size;
    }
}

}  // namespace
}  // namespace birkhoff
