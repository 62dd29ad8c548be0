#pragma once
// Loops that do one thing as fast as the processor can, see kernels/peak_rates.h. Arrays are f32 at
// addresses divisible by 64. Thread-safe: no state.
#include <cstdint>

namespace birkhoff::cpu {

void copy_plain(const float* from, float* to, int64_t count);
void copy_streaming(const float* from, float* to, int64_t count);
float read_only(const float* from, int64_t count);  // Returns the sum.
void sweep(float* values, int64_t count);           // x → x/2 + 1/2, so that 1 stays 1.

// Runs `rounds` fused multiply-adds on each of as many independent chains in registers as keep the
// FMA units busy. The second function returns the flops of one round over all chains.
float multiply_adds(int64_t rounds);
int64_t multiply_adds_flops();

}  // namespace birkhoff::cpu
