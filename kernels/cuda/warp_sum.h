#pragma once
// Sums over a warp by a butterfly, and over a block: every thread gets the same bits.
#include "kernels/cuda/device/device.h"

namespace birkhoff::cuda {

// Over groups of lanes that differ in the bits [first, end) of their numbers, both powers of two.
__device__ inline float lanes_sum(float value, unsigned first, unsigned end) {
  for (unsigned bit = first; bit < end; bit *= 2) value += shuffle_xor(kFullMask, value, bit);
  return value;
}
__device__ inline float warp_sum(float value) { return lanes_sum(value, 1, kWarp); }

// Over all threads of the block; sums: of its warps. One barrier: who is late still reads `sums`
// while others go on, so the next sum needs other memory.
__device__ inline float block_sum(float value, float* sums) {
  value = warp_sum(value);
  const unsigned warps = block_dim().x / kWarp;
  if (thread() % kWarp == 0) sums[thread() / kWarp] = value;
  sync_block();
  float sum = 0;
  for (unsigned w = 0; w < warps; ++w) sum += sums[w];
  return sum;
}

}  // namespace birkhoff::cuda
