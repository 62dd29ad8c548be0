#pragma once
// Sums over a warp, by butterfly shuffles, and over a block. Every thread gets the same bits.
#include "kernels/cuda/device/device.h"

namespace birkhoff::cuda {

// Sums over the lanes whose numbers differ only in the bits from `first` up to, not including,
// `end`, both powers of two.
__device__ inline float lanes_sum(float value, unsigned first, unsigned end) {
  for (unsigned bit = first; bit < end; bit *= 2) value += shuffle_xor(kFullMask, value, bit);
  return value;
}
__device__ inline float warp_sum(float value) { return lanes_sum(value, 1, kWarp); }

// Sums over all threads of the block; `sums` has an element per warp. There is only one barrier:
// slow threads may still read `sums` when others continue, so the next sum needs other memory.
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
