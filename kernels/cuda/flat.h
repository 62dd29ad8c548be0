#pragma once
// Iteration over flat arrays: one pack of elements per thread, and the elements left over.
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {

inline unsigned flat_blocks(int64_t count, int pack, unsigned threads) {
  const int64_t units = (count + pack - 1) / pack;
  return unsigned((units + threads - 1) / threads);
}

// Calls whole(i) for this thread's pack i of kPack elements, or single(e) for the elements that
// do not fill a pack.
template <int kPack, class Whole, class Single>
__device__ inline void for_flat(int64_t count, Whole&& whole, Single&& single) {
  const int64_t i = int64_t{block_index().x} * block_dim().x + thread();
  if (i < count / kPack) whole(i);
  // Fewer than kPack elements remain: the thread after the last whole pack handles them.
  if (i == count / kPack)
    for (int64_t e = i * kPack; e < count; ++e) single(e);
}

}  // namespace birkhoff::cuda
