#pragma once
// Sums over a warp by a butterfly: every lane gets the same bits.
#include "kernels/cuda/device/device.h"

namespace birkhoff::cuda {

// Over groups of lanes that differ in the bits [first, end) of their numbers, both powers of two.
__device__ inline float lanes_sum(float value, unsigned first, unsigned end) {
  for (unsigned bit = first; bit < end; bit *= 2) value += shuffle_xor(kFullMask, value, bit);
  return value;
}
__device__ inline float warp_sum(float value) { return lanes_sum(value, 1, kWarp); }

}  // namespace birkhoff::cuda
