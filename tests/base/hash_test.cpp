#include "base/hash.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace birkhoff {
namespace {

// Hash of no bytes, as printed by the reference implementation (xxhsum -H2).
TEST(Hash, KnownDigits) {
  EXPECT_EQ(hash128({}), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Hash128().digits(), "99aa06d3014798d86001c324468d497f");
}

TEST(Hash, PiecesAreTheWhole) {
  std::vector<std::byte> bytes(100'003);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(i * 7 + i / 251);
  for (const size_t piece : {1u, 63u, 64u, 1024u, 99'991u, 100'003u}) {
    Hash128 hash;
    for (size_t at = 0; at < bytes.size(); at += piece)
      hash.add(std::span(bytes).subspan(at, std::min<size_t>(piece, bytes.size() - at)));
    EXPECT_EQ(hash.digits(), hash128(bytes)) << piece;
  }
}

}  // namespace
}  // namespace birkhoff
