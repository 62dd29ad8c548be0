#pragma once
// Device functions: the rows of n streams in accesses of 16 bytes, and x' = H_res·x + H_postᵀ·f.
#include "kernels/cuda/device/device.h"

namespace birkhoff::cuda {

inline constexpr int kChannels = 8;  // bf16 in 16 bytes
// As words: of 16-bit elements the compiler may keep each in a register of its own.
using Channels = Pack<uint32_t, kChannels / 2>;

__device__ inline float channel(const Channels& x, int e) {
  return widen({uint16_t(x.v[e / 2] >> e % 2 * 16)});
}
__device__ inline Channels rounded(const float (&x)[kChannels]) {
  Channels y;
  for (int w = 0; w < kChannels / 2; ++w)
    y.v[w] = as_pair(round_bf16(x[2 * w]), round_bf16(x[2 * w + 1]));
  return y;
}

// H_res and H_post of one token in shared memory: row i of H_res at i·n, H_post at n². Of odd
// length, so that tokens side by side lie in different banks.
template <int kN>
struct Mix {
  float v[kN * kN + kN + 1];
};

// Of tokens first, first + 1, … up to `end`, into as many as the block has room for. The caller
// synchronises.
template <int kN, int kTokens>
__device__ inline void load_mixes(const float* res, const float* post, int64_t first, int64_t end,
                                  Mix<kN> (&to)[kTokens]) {
  constexpr int kValues = kN * kN + kN;
  for (int i = int(thread()); i < kTokens * kValues; i += int(block_dim().x)) {
    const int token = i / kValues, e = i % kValues;
    if (first + token >= end) return;
    to[token].v[e] = e < kN * kN ? load(res + (first + token) * kN * kN + e)
                                 : load(post + (first + token) * kN + e - kN * kN);
  }
}

// x'_i = post_i·f + Σ_j res_ij·x_j of 8 channels, rounded once. This order, wherever it is done.
template <int kN>
__device__ inline Channels mixed(const Mix<kN>& mix, int i, const Channels (&x)[kN],
                                 const Channels& f) {
  const float post = mix.v[kN * kN + i];
  float sums[kChannels];
  for (int e = 0; e < kChannels; ++e) sums[e] = post * channel(f, e);
  for (int j = 0; j < kN; ++j) {
    const float res = mix.v[i * kN + j];
    for (int e = 0; e < kChannels; ++e) sums[e] = fmaf(res, channel(x[j], e), sums[e]);
  }
  return rounded(sums);
}

template <Cache kCache = Cache::streaming>
__device__ inline Channels load_channels(const bf16* p) {
  return load<kCache>(reinterpret_cast<const Channels*>(p));
}
__device__ inline void store_channels(bf16* p, const Channels& value) {
  store<Cache::streaming>(reinterpret_cast<Channels*>(p), value);
}

}  // namespace birkhoff::cuda
