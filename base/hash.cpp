#include "base/hash.h"

#include <xxhash.h>

#include "base/error.h"

namespace birkhoff {

uint64_t hash64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

namespace {

std::string digits_of(const XXH128_hash_t& h) {
  return fmt::format("{:016x}{:016x}", h.high64, h.low64);
}

XXH3_state_t* state_of(void* state) { return static_cast<XXH3_state_t*>(state); }

}  // namespace

std::string hash128(std::span<const std::byte> bytes) {
  return digits_of(XXH3_128bits(bytes.data(), bytes.size()));
}

Hash128::Hash128() : state_(XXH3_createState()) {
  check(state_ != nullptr, "out of memory for a hash");
  XXH3_128bits_reset(state_of(state_));
}

Hash128::~Hash128() { XXH3_freeState(state_of(state_)); }

void Hash128::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_of(state_), bytes.data(), bytes.size());
}

std::string Hash128::digits() const { return digits_of(XXH3_128bits_digest(state_of(state_))); }

}  // namespace birkhoff
