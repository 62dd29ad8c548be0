#pragma once
// How operators that sum a gradient over all tokens split the tokens: each slab is summed by itself
// in token order, then the slabs in order, so bits do not depend on threads. At most 8 slabs: a
// partial sum of dphi is as large as phi, and one for every block of tokens would move more bytes
// than the rest of the backward.
#include <algorithm>
#include <cstdint>

namespace birkhoff {

inline constexpr int64_t kSlabUnit = 32;  // tokens; a slab is a multiple of it

inline int64_t slab_tokens(int64_t tokens) {
  const int64_t units = (tokens + kSlabUnit - 1) / kSlabUnit;
  return std::max<int64_t>((units + 7) / 8, 2) * kSlabUnit;
}
inline int64_t slabs(int64_t tokens) {
  return std::max<int64_t>((tokens + slab_tokens(tokens) - 1) / slab_tokens(tokens), 1);
}

}  // namespace birkhoff
