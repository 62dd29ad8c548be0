#pragma once
// The entries of PairBodies: see kernels/cpu/pairs.h.
#include "kernels/cpu/pairs.h"

namespace birkhoff::cpu::avx512_bf16 {

// Two units of latency 6 want 12.
inline constexpr int kProductChains = 12;
float products(int64_t rounds);

}  // namespace birkhoff::cpu::avx512_bf16
