#pragma once
// The entries of PairBodies: see kernels/cpu/pairs.h.
#include "kernels/cpu/pairs.h"

namespace birkhoff::cpu::avx512_bf16 {}  // namespace birkhoff::cpu::avx512_bf16
