#pragma once
// xxh3 hashes of bytes: they detect accidents, not attacks. Thread-safe: no state.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace birkhoff {

uint64_t hash64(std::string_view bytes);
std::string hash128(std::span<const std::byte> bytes);  // 32 lower-case hexadecimal digits

// hash128 of bytes that arrive piece by piece. Not synchronised.
class Hash128 {
 public:
  Hash128();
  ~Hash128();
  Hash128(const Hash128&) = delete;
  Hash128& operator=(const Hash128&) = delete;

  void add(std::span<const std::byte> bytes);
  std::string digits() const;

 private:
  void* state_;
};

}  // namespace birkhoff
