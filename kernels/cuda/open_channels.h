#pragma once
// Device functions for opening streams: the arithmetic on 8 channels of a token, whatever the
// coefficients are. A block and a cluster use the same order of operations, hence the same bits.
#include "kernels/cuda/channels.h"

namespace birkhoff::cuda {

// Channels 2·pair and 2·pair + 1 as an mma factor. A bf16 followed by zero bits is a valid tf32.
__device__ inline MmaB factor_of(const Channels& x, int pair) {
  return {{x.v[pair] << 16, x.v[pair] & 0xFFFF0000u}};
}

// sum + Σ of the squares of channels [first, end).
__device__ inline float add_squares(float sum, const Channels& x, int first, int end) {
  for (int e = first; e < end; ++e) sum = fmaf(channel(x, e), channel(x, e), sum);
  return sum;
}

// h = Σ pre_i·x_i, rounded once. x(i) returns stream i.
template <int kN, class X>
__device__ inline Channels weighted(const float (&pre)[kN], X&& x) {
  float sums[kChannels] = {};
  for (int i = 0; i < kN; ++i) {
    const Channels stream = x(i);
    for (int e = 0; e < kChannels; ++e) sums[e] = fmaf(pre[i], channel(stream, e), sums[e]);
  }
  return rounded(sums);
}

// y = gain ⊙ h·rstd, rounded once.
__device__ inline Channels normalised(const Channels& h, float rstd, const Floats (&gain)[2]) {
  float y[kChannels];
  for (int e = 0; e < kChannels; ++e) y[e] = channel(h, e) * rstd * gain[e / 4].v[e % 4];
  return rounded(y);
}

// Stores post_i and row i of res of a token. Args is MhcOpenArgs or HcOpenArgs.
template <int kN, class Args>
__device__ inline void store_mix(const Args& a, int64_t token, int i, float post,
                                 const float (&res)[kN]) {
  store(a.post + token * kN + i, post);
  constexpr int kWords = kN < 4 ? kN : 4;
  for (int j = 0; j < kN; j += kWords) {
    Pack<float, kWords> words;
    for (int w = 0; w < kWords; ++w) words.v[w] = res[j + w];
    store(reinterpret_cast<Pack<float, kWords>*>(a.res + (token * kN + i) * kN + j), words);
  }
}

}  // namespace birkhoff::cuda
