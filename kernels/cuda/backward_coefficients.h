#pragma once
// Pass (b) of the three: the gradients of the coefficients. A warp reads the rows of a few tokens
// for dpre, then processes their coefficients side by side. It writes what (c) needs as one row per
// token (mhc_layout.h). Sums over tokens are taken per lane in token order, then over warps, then
// over blocks. The map M, a traits class, says what the coefficients are:
//
//   M::Args                            x, dh, alpha, b, u, dpost, dres, workspace, tokens, width, …
//   M::kPerStream                      each stream has its own norm and columns
//   M::kSublayer, M::kAlphas           whether post and res exist; then 3 alphas, otherwise 1
//   M::projects(a)                     whether u, norms and alpha exist
//   M::norms(a)                        1/rms of the rows, [tokens, 1 or n]
//   M::bounded(u)                      f(u) of H~ = alpha ⊙ f(u) + b, and its slope
//   M::trace_floats<kN>(a)             floats of shared scratch memory per warp (`trace`)
//   M::gradients<kN>(a, s, g, trace)   for g's tokens, replaces the gradients of pre, post and res
//                                      by those of H~, and makes pre and res. All lanes of the warp
//                                      must call it
#include "kernels/cuda/channels.h"
#include "kernels/cuda/mhc_passes.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {

inline constexpr unsigned kCoefficientThreads = kMhcWarps * kWarp;
inline constexpr unsigned kSumParts = 6;  // ranges of blocks that total_sums adds in parallel

struct Bounded {
  float value, slope;
};

template <class M, int kN>
struct CoefficientShape {
  static constexpr MhcRow kRow{kN, M::kPerStream, M::kSublayer};
  static constexpr int kColumns = kRow.columns, kGroup = mhc_group(kN), kNorms = kRow.pulls;
  static constexpr int kHeld = (kColumns + int(kWarp) - 1) / int(kWarp);  // columns per lane
  // Row stride, padded so that a warp reads one column of all its tokens without bank conflicts.
  static constexpr int kStride = kN == 1 ? kRow.floats + 1 : kN == 2 ? kRow.stride : kRow.floats;

  // The column whose dz is element i of a row as written for (c); −1 for zero padding.
  static constexpr __device__ int column(int i) {
    if constexpr (M::kPerStream)
      return i % kRow.own < kN + 2 ? i % kRow.own * kN + i / kRow.own : -1;
    else
      return i < kColumns ? i : -1;
  }
};

// The tokens that a warp processes together. `row` holds the gradients of pre, post and res, which
// are replaced by those of H~ and then of z, in the order of the columns; what else (c) needs
// follows them.
template <class M, int kN>
struct CoefficientGroup {
  using S = CoefficientShape<M, kN>;
  float norms[S::kGroup][S::kNorms];
  float u[S::kGroup][S::kStride];
  float row[S::kGroup][S::kStride];
};

template <class M, int kN>
struct CoefficientParameters {
  float alpha[3], b[CoefficientShape<M, kN>::kColumns];
};

template <class M, int kN>
struct CoefficientShared {
  using S = CoefficientShape<M, kN>;
  CoefficientGroup<M, kN> groups[kMhcWarps];
  CoefficientParameters<M, kN> parameters;
  float sums[kMhcWarps][2][S::kColumns];  // dH~·f(u) and dH~
};

template <class M, int kN>
struct ColumnSums {  // sums over tokens, for a lane's columns
  float products[CoefficientShape<M, kN>::kHeld], gradients[CoefficientShape<M, kN>::kHeld];
};

// The first threads of the block load the parameters. The caller synchronises the block.
template <class M, int kN>
__device__ inline void load_parameters(const typename M::Args& a, CoefficientParameters<M, kN>& s) {
  if (thread() < M::kAlphas)
    s.alpha[thread()] = M::projects(a) ? load<Cache::constant>(a.alpha + thread()) : 0;
  if (thread() < CoefficientShape<M, kN>::kColumns)
    s.b[thread()] = load<Cache::constant>(a.b + thread());
}

// <dh, x_i> of token t, for each stream i.
template <int kN, class Args>
__device__ inline void channel_dots(const Args& a, int64_t t, float (&dots)[kN]) {
  for (float& dot : dots) dot = 0;
  for (int64_t c = thread() % kWarp * kChannels; c < a.width; c += kWarp * kChannels) {
    const Channels dh = load_channels(a.dh + t * a.width + c);
    for (int i = 0; i < kN; ++i) {
      const Channels x = load_channels(a.x + (t * kN + i) * a.width + c);
      for (int e = 0; e < kChannels; ++e) dots[i] = fmaf(channel(dh, e), channel(x, e), dots[i]);
    }
  }
  for (float& dot : dots) dot = warp_sum(dot);
}

// Loads `count` tokens and zero-fills the rest of the group, so that all lanes run the same code.
template <class M, int kN>
__device__ inline void load_group(const typename M::Args& a, int64_t first, int count,
                                  CoefficientGroup<M, kN>& g) {
  using S = CoefficientShape<M, kN>;
  const bool projects = M::projects(a);
  const int lane = int(thread() % kWarp);
  for (int i = lane; i < S::kGroup * S::kNorms; i += int(kWarp))
    g.norms[i / S::kNorms][i % S::kNorms] =
        projects && i < count * S::kNorms ? load(M::norms(a) + first * S::kNorms + i) : 0;
  for (int k = 0; k < S::kGroup; ++k) {
    const int64_t t = first + k;
    float dots[kN] = {};
    if (k < count) channel_dots<kN>(a, t, dots);
    for (int i = 0; i < kN; ++i)
      if (lane == i) g.row[k][i] = dots[i];
    for (int c = lane; c < S::kColumns; c += int(kWarp))
      g.u[k][c] = projects && k < count ? load(a.u + t * S::kColumns + c) : 0;
    if constexpr (M::kSublayer) {
      for (int i = lane; i < kN; i += int(kWarp))
        g.row[k][kN + i] = k < count ? load(a.dpost + t * kN + i) : 0;
      for (int e = lane; e < kN * kN; e += int(kWarp))
        g.row[k][2 * kN + e] = k < count ? load(a.dres + t * kN * kN + e) : 0;
    }
  }
}

// The backward of H~ = alpha ⊙ f(u) + b and of z = u·rms for token k of the group, and its 2·ds.
// All lanes of the warp must call it.
template <class M, int kN>
__device__ inline void affine_backward(const typename M::Args& a,
                                       const CoefficientParameters<M, kN>& s,
                                       CoefficientGroup<M, kN>& g, int k, ColumnSums<M, kN>& sums) {
  using S = CoefficientShape<M, kN>;
  const int lane = int(thread() % kWarp);
  const float norm = g.norms[k][lane % S::kNorms];  // the same for each of the lane's columns
  float pull = 0;
  for (int h = 0; h < S::kHeld; ++h) {
    const int c = lane + h * int(kWarp);
    if (c >= S::kColumns) break;
    const float d = g.row[k][c], u = g.u[k][c];
    const Bounded of = M::bounded(u);
    const float du = s.alpha[c < kN ? 0 : c < 2 * kN ? 1 : 2] * d * of.slope;
    sums.products[h] = fmaf(d, of.value, sums.products[h]);
    sums.gradients[h] += d;
    pull = fmaf(-du, u, pull);
    g.row[k][c] = norm * du;
  }
  pull = lanes_sum(pull, S::kNorms, kWarp);
  const float count = float((M::kPerStream ? 1 : kN) * a.width);
  if (lane < S::kRow.floats - S::kRow.pull)
    g.row[k][S::kRow.pull + lane] = lane < S::kNorms ? pull * (norm * norm) / count : 0;
}

// At n = 4 shared memory has room for five blocks. Without the bound ptxas aims for more, and
// spills registers.
template <class M, int kN>
__global__ void __launch_bounds__(kCoefficientThreads, 5)
    coefficients_backward(typename M::Args a, MhcOpenBackwardCut cut) {
  using S = CoefficientShape<M, kN>;
  auto& s = *dynamic_shared<CoefficientShared<M, kN>>();  // followed by each warp's trace
  const unsigned lane = thread() % kWarp, warp = thread() / kWarp;
  CoefficientGroup<M, kN>& g = s.groups[warp];
  float* const trace =
      reinterpret_cast<float*>(&s + 1) + warp * unsigned(M::template trace_floats<kN>(a));
  load_parameters<M, kN>(a, s.parameters);
  sync_block();
  ColumnSums<M, kN> sums = {};
  const int64_t begin = block_index().x * cut.block_tokens;
  const int64_t end = begin + cut.block_tokens < a.tokens ? begin + cut.block_tokens : a.tokens;
  for (int64_t t = begin + warp * S::kGroup; t < end; t += kMhcWarps * S::kGroup) {
    const int count = int(end - t < S::kGroup ? end - t : S::kGroup);
    load_group(a, t, count, g);
    sync_warp(kFullMask);
    M::gradients(a, s.parameters, g, trace);
    sync_warp(kFullMask);
    for (int k = 0; k < count; ++k) affine_backward(a, s.parameters, g, k, sums);
    sync_warp(kFullMask);
    for (int i = int(lane); i < count * S::kRow.floats; i += int(kWarp)) {
      const int k = i / S::kRow.floats, e = i % S::kRow.floats;
      const int from = e < S::kRow.padded ? S::column(e) : e;
      store(a.workspace + t * S::kRow.floats + i, from < 0 ? 0 : g.row[k][from]);
    }
    sync_warp(kFullMask);
  }
  for (int h = 0; h < S::kHeld; ++h) {
    const int c = int(lane) + h * int(kWarp);
    if (c >= S::kColumns) break;
    s.sums[warp][0][c] = sums.products[h], s.sums[warp][1][c] = sums.gradients[h];
  }
  sync_block();
  for (int i = int(thread()); i < 2 * S::kColumns; i += int(kCoefficientThreads)) {
    float sum = 0;
    for (const auto& of : s.sums) sum += of[i / S::kColumns][i % S::kColumns];
    store(a.workspace + cut.sums + int64_t{block_index().x} * 2 * S::kColumns + i, sum);
  }
}

}  // namespace birkhoff::cuda
