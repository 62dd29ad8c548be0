#pragma once
// Flat arrays, a pack a thread, and what is left of them.
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {

inline unsigned flat_blocks(int64_t count, int pack, unsigned threads) {
  const int64_t units = (count + pack - 1) / pack;
  return unsigned((units + threads - 1) / threads);
}

// Of `count` elements: this thread's pack of kPack, or its element of the rest.
template <int kPack, class Whole, class Single>
__device__ inline void for_flat(int64_t count, Whole&& whole, Single&& single) {
  const int64_t i = int64_t{block_index().x} * block_dim().x + thread();
  if (i < count / kPack) whole(i);
  // The rest is one pack at most: the thread behind the last pack takes it.
  if (i == count / kPack)
    for (int64_t e = i * kPack; e < count; ++e) single(e);
}

}  // namespace birkhoff::cuda
