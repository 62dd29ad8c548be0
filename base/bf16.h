#pragma once
// bf16 is storage: the upper half of an f32. Arithmetic is done in f32, rounded to nearest even.
// Thread-safe: no state. Includes nothing of ours, so that device code can include it.
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace birkhoff {

struct bf16 {
  uint16_t bits;  // no initialiser: CUDA shared memory holds only trivial types
};

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return std::bit_cast<float>(uint32_t(x.bits) << 16); }

inline bf16 to_bf16(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return {uint16_t((u >> 16) | 0x40)};  // stays a NaN, made quiet
  return {uint16_t((u + 0x7FFF + ((u >> 16) & 1)) >> 16)};
}

// x as a float or a bf16.
template <class T>
T narrow(float x) {
  if constexpr (std::is_same_v<T, bf16>)
    return to_bf16(x);
  else
    return x;
}

}  // namespace birkhoff
