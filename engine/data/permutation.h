#pragma once
// A random order of [0, size) in constant memory: i ↦ permutation(i), a bijection that is a
// function of (seed, stream, epoch, size) alone. Immutable, so thread-safe.
//
// A balanced Feistel network of eight rounds over the smallest even number of bits that holds size,
// with philox as the round function; a result ≥ size is sent through again (cycle walking), which
// ends because the network is itself a bijection: fewer than 4 passes on average.
// Black and Rogaway, Ciphers with Arbitrary Finite Domains (CT-RSA 2002).
#include <cstdint>
#include <string_view>

#include "base/rng.h"

namespace birkhoff {

class Permutation {
 public:
  Permutation(uint64_t seed, std::string_view stream, uint64_t epoch, uint64_t size);

  uint64_t size() const { return size_; }
  uint64_t operator()(uint64_t i) const;  // REQUIRES i < size; throws InternalError otherwise

 private:
  uint64_t size_;
  int half_;  // bits in each half
  Key key_;
};

}  // namespace birkhoff
