#pragma once
// Device functions that close streams: x' = H_res·x + H_postᵀ·f.
#include "kernels/cuda/channels.h"

namespace birkhoff::cuda {

// H_res and H_post of one token in shared memory: row i of H_res at i·n, H_post at n². The length
// is odd, so that adjacent tokens lie in different banks.
template <int kN>
struct Mix {
  float v[kN * kN + kN + 1];
};

// Loads the mixes of tokens first, first + 1, …, at most kTokens of them and none from `end` on.
// The caller synchronises.
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

// x'_i = post_i·f + Σ_j res_ij·x_j of 8 channels, rounded once. Every kernel sums in this order.
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

}  // namespace birkhoff::cuda
