#pragma once
// Loops that do one thing as fast as the processor can: see kernels/peak_rates.h. Arrays of f32 at
// addresses divisible by 64. Thread-safe: no state.
#include <cstdint>

namespace birkhoff::cpu {

void copy_plain(const float* from, float* to, int64_t count);
void copy_streaming(const float* from, float* to, int64_t count);
float read_only(const float* from, int64_t count);  // their sum
void sweep(float* values, int64_t count);           // x → x/2 + 1/2: 1 stays 1

// Chains of fused multiply-adds that stay in registers, as many at once as keep the units busy:
// `rounds` of each, and the flops of one round of all.
float multiply_adds(int64_t rounds);
int64_t multiply_adds_flops();

}  // namespace birkhoff::cpu
