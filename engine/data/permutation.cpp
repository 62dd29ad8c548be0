#include "engine/data/permutation.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/hash.h"

namespace birkhoff {

Permutation::Permutation(uint64_t seed, std::string_view stream, uint64_t epoch, uint64_t size)
    : size_(size), half_(std::max(1, (int(std::bit_width(size - 1)) + 1) / 2)) {
  check(size > 0, "a permutation of nothing");
  const uint64_t name = hash64(stream);
  const Counter c =
      philox({uint32_t(epoch), uint32_t(epoch >> 32), uint32_t(name), uint32_t(name >> 32)},
             {uint32_t(seed), uint32_t(seed >> 32)});
  key_ = {c[0], c[1]};
}

uint64_t Permutation::operator()(uint64_t i) const {
  check(i < size_, "element {} of a permutation of {}", i, size_);
  const uint64_t mask = (uint64_t(1) << half_) - 1;
  do {
    uint64_t left = i >> half_, right = i & mask;
    for (uint32_t round = 0; round < 8; ++round) {
      const uint64_t mixed = left ^ (philox({uint32_t(right), round, 0, 0}, key_)[0] & mask);
      left = right;
      right = mixed;
    }
    i = left << half_ | right;
  } while (i >= size_);
  return i;
}

}  // namespace birkhoff
