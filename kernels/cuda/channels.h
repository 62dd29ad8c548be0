#pragma once
// Device functions that read and write rows by accesses of 16 bytes.
#include "kernels/cuda/device/device.h"

namespace birkhoff::cuda {

inline constexpr int kChannels = 8;  // bf16 in 16 bytes
// Held as 32-bit words: the compiler may keep each 16-bit element in a register of its own.
using Channels = Pack<uint32_t, kChannels / 2>;
using Floats = Pack<float, 4>;

__device__ inline float channel(const Channels& x, int e) {
  return widen({uint16_t(x.v[e / 2] >> e % 2 * 16)});
}
__device__ inline Channels rounded(const float (&x)[kChannels]) {
  Channels y;
  for (int w = 0; w < kChannels / 2; ++w)
    y.v[w] = as_pair(round_bf16(x[2 * w]), round_bf16(x[2 * w + 1]));
  return y;
}

template <Cache kCache = Cache::streaming>
__device__ inline Channels load_channels(const bf16* p) {
  return load<kCache>(reinterpret_cast<const Channels*>(p));
}
__device__ inline void store_channels(bf16* p, const Channels& value) {
  store<Cache::streaming>(reinterpret_cast<Channels*>(p), value);
}

}  // namespace birkhoff::cuda
