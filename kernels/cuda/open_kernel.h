#pragma once
// The kernel that opens streams, and its launch (open_streams.h explains the method and M).
#include "kernels/cuda/open_streams.h"

namespace birkhoff::cuda {

// Writes h over stream 0, and sums the squares of h as rounded.
template <class M, int kN, int kTiles>
__device__ inline void make_h(const typename M::Args& a, int64_t first,
                              OpenShared<M, kN, kTiles>& s, const Rows<kN, kTiles>& rows) {
  constexpr int kTile = mhc_open_tile(kN);
  const Lane lane;
  float squares[kTiles] = {};
  for (int tile = 0; tile < kTiles && rows.mine(); ++tile) {
    const int in_block = tile * kTile + lane.token;
    const int64_t token = first + in_block;
    float pre[kN];
    for (int i = 0; i < kN; ++i) pre[i] = M::pre(a, s.logit(0, i, in_block));
    for (int step = 0; step < rows.steps; ++step) {
      const int c = lane.channel(step);
      const Channels h = weighted(pre, [&](int i) { return load(rows.at(step, tile, i)); });
      squares[tile] = add_squares(squares[tile], h, 0, kChannels);
      store(rows.at(step, tile, 0), h);
      if (M::h(a) && c < a.width && token < a.tokens)
        store_channels(M::h(a) + token * a.width + c, h);
    }
  }
  if constexpr (M::kSublayer)
    for (int tile = 0; tile < kTiles; ++tile) {  // sums over a token's four lanes, for each warp
      const float sum = lanes_sum(squares[tile], 1, kOpenGroup);
      if (lane.part == 0 && lane.token < kTile)
        s.squares[lane.warp][tile * kTile + lane.token] = sum;
    }
}

// Makes y from h, which has replaced stream 0.
template <class M, int kN, int kTiles>
__device__ inline void normalise(const typename M::Args& a, int64_t first,
                                 const OpenShared<M, kN, kTiles>& s, const Rows<kN, kTiles>& rows) {
  constexpr int kTile = mhc_open_tile(kN);
  if (!rows.mine()) return;
  const Lane lane;
  float rstd[kTiles];
  for (int tile = 0; tile < kTiles; ++tile) {
    const int in_block = tile * kTile + lane.token;
    float squares = 0;
    for (int w = 0; w < kOpenWarps; ++w) squares += s.squares[w][in_block];
    rstd[tile] = fast_rsqrt(squares / float(a.width) + a.norm_eps);
    if (lane.part == 0 && lane.warp == 0 && first + in_block < a.tokens)
      store(a.rstd + first + in_block, rstd[tile]);
  }
  if (!a.y) return;
  for (int step = 0; step < rows.steps; ++step) {
    const int c = lane.channel(step);
    if (c >= a.width) break;
    Floats gain[2];
    for (int half = 0; half < 2; ++half)
      gain[half] = load<Cache::constant>(reinterpret_cast<const Floats*>(a.gain + c) + half);
    for (int tile = 0; tile < kTiles; ++tile) {
      const int64_t token = first + tile * kTile + lane.token;
      if (token >= a.tokens) break;
      const Channels h = load(rows.at(step, tile, 0));
      store_channels(a.y + token * a.width + c, normalised(h, rstd[tile], gain));
    }
  }
}

template <class M, int kN, int kTiles, bool kCloses>
__global__ void __launch_bounds__(kOpenThreads, 1)
    open_streams(typename M::Args a, MhcCloseArgs close, int steps) {
  using S = OpenSizes<M, kN, kTiles>;
  using Shared = OpenShared<M, kN, kTiles>;
  static_assert(sizeof(Shared) + kMostRowBytes <= kMaxSharedBytes);
  auto& s = shared<Shared>();
  const int64_t first = int64_t{block_index().x} * S::kTokens;
  const Rows<kN, kTiles> rows(steps);
  if constexpr (kCloses) {
    load_mixes(close.res, close.post, first, a.tokens, s.mix);
    sync_block();
    fill_closing(close, first, s.mix, rows);
  } else {
    fill(a, first, rows);
  }
  if (M::projects(a)) {
    Partial<M, kN, kTiles> sum;
    M::project(a, rows, sum);
    put_sums(s, sum);
  }
  make_coefficients(a, first, s);
  if constexpr (M::kSublayer)
    if (thread() / kWarp < unsigned(S::kMatrixWarps)) make_mixes(a, first, s);
  make_h(a, first, s, rows);
  if constexpr (M::kSublayer) {
    sync_block();
    normalise(a, first, s, rows);
  }
}

template <class M, bool kCloses>
auto open_kernel_of(int n, int tiles) {
  return n == 1   ? open_streams<M, 1, 4, kCloses>
         : n == 8 ? open_streams<M, 8, 1, kCloses>
         : n == 2 ? (tiles == 4 ? open_streams<M, 2, 4, kCloses> : open_streams<M, 2, 2, kCloses>)
                  : (tiles == 2 ? open_streams<M, 4, 2, kCloses> : open_streams<M, 4, 1, kCloses>);
}

template <class M, bool kCloses>
void launch_open(const char* name, const typename M::Args& a, const MhcCloseArgs& close,
                 cudaStream_t stream) {
  if (a.tokens == 0) return;
  const MhcOpenCut cut = streams_open_cut(a.tokens, a.width, a.n);
  launch(name, open_kernel_of<M, kCloses>(a.n, cut.tokens / mhc_open_tile(a.n)),
         {.grid = {unsigned(cut.blocks)},
          .block = {kOpenThreads},
          .shared_bytes = cut.shared_bytes,
          .stream = stream},
         a, close, cut.steps);
}

}  // namespace birkhoff::cuda
