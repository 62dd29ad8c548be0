#pragma once
// For g++: matrix products, conversions, fast functions (contract: ../device.h).
#include <bit>
#include <cmath>

#include "kernels/cuda/device/emulated/machine.h"

namespace birkhoff::cuda {

inline float widen(bf16 x) { return to_float(x); }
inline bf16 round_bf16(float x) { return to_bf16(x); }
inline uint32_t as_pair(bf16 low, bf16 high) {
  return uint32_t(low.bits) | uint32_t(high.bits) << 16;
}

// Keeps 10 fraction bits; rounds to nearest, ties away from zero.
inline uint32_t to_tf32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return std::isfinite(x) ? (bits + 0x1000u) & ~0x1FFFu : bits;
}

inline float fast_exp(float x) { return std::exp(x); }
inline float fast_rsqrt(float x) { return 1 / std::sqrt(x); }
inline float fast_divide(float a, float b) { return a / b; }

inline void mma_bf16(MmaD& d, const MmaA& a, const MmaB& b,
                     emulated::Where where = emulated::Where::current()) {
  emulated::mma_bf16(d, a, b, where);
}
inline void mma_tf32(MmaD& d, const MmaA& a, const MmaB& b,
                     emulated::Where where = emulated::Where::current()) {
  emulated::mma_tf32(d, a, b, where);
}

}  // namespace birkhoff::cuda
