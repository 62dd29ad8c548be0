#pragma once
// Pass (c) of the three: dx, and the gradients of the weights. A block keeps a slab of channels of
// all streams, with its weights and their partial gradients on the chip, and walks the tokens of
// its split in tiles of 16, prefetching the next tile. A slab includes all streams, since dx_j
// mixes them.
//
// dphi += vᵀ·dz uses mma_bf16: v is bf16 already and is transposed by ldmatrix; dz is split into
// the sum of two bf16, accurate to 2^-16. tf32, equally fast, would be accurate to 2^-11, which
// would show in dphi, as it is kept in f32 and summed over micro-batches.
// dx += dz·phiᵀ uses mma_tf32, on top of the mix in f32: each term is accurate to 2^-10, where the
// rounding of dx itself costs 2^-8. Three products of bf16 halves would cost twice as much at K =
// 24.
#include "kernels/cuda/stream_tiles.h"
#include "kernels/cuda/unrolled.h"

namespace birkhoff::cuda {

template <class M, int kN>
using DWeights = MmaD[StreamShape<M, kN>::kTiles][StreamShape<M, kN>::kSteps];

// For the warp's rows of weights: gradients += (those channels of 16 tokens)ᵀ·dz.
template <class M, int kN>
__device__ inline void add_outer(const StreamTile<M, kN>& tile, DWeights<M, kN>& sums) {
  using S = StreamShape<M, kN>;
  const int lane = int(thread() % kWarp), warp = int(thread() / kWarp);
  if (S::kTileWarps < S::kWarps && warp >= S::kTileWarps) return;
  for (int stream = 0; stream < S::kAdded; ++stream) {
    MmaA v[S::kTiles];
    unrolled<S::kTiles>([&](int i) {
      const int token = lane % 8 + lane / 16 * 8,
                row = (warp * S::kTiles + i) * 16 + lane / 8 % 2 * 8;
      ldmatrix_x4_transposed(v[i].r, &tile.x[token][stream * S::kSlab + row]);
    });
    unrolled<S::kSteps>([&](int step) {
      MmaB high, low;
      for (int r = 0; r < 2; ++r) {
        bf16 h[2], l[2];
        for (int e = 0; e < 2; ++e) {
          const int column = stream * S::kRow.own + step * 8 + lane / 4;
          const float dz = tile.c[lane % 4 * 2 + e + r * 8][column];
          h[e] = round_bf16(dz), l[e] = round_bf16(dz - widen(h[e]));
        }
        high.r[r] = as_pair(h[0], h[1]), low.r[r] = as_pair(l[0], l[1]);
      }
      unrolled<S::kTiles>([&](int i) {
        mma_bf16(sums[i][step], v[i], high);
        mma_bf16(sums[i][step], v[i], low);
      });
    });
  }
}

// Two adjacent channels as floats.
__device__ inline Pack<float, 2> two(const bf16* p) {
  const auto pair = load(reinterpret_cast<const Pack<bf16, 2>*>(p));
  return {{widen(pair.v[0]), widen(pair.v[1])}};
}

// The f32 part of dx: res, pre and ds applied to dlink, dh and x. In mma's layout, registers 2·r
// and 2·r + 1 of d hold `channel` and the next one of the lane's token in half r of the tile.
template <class M, int kN>
__device__ inline void mix(const StreamTile<M, kN>& tile, int stream, int channel,
                           MmaD (&d)[StreamShape<M, kN>::kGroup]) {
  using S = StreamShape<M, kN>;
  for (int r = 0; r < 2; ++r) {
    const int row = int(thread() % kWarp) / 4 + 8 * r;
    const float* c = tile.c[row];
    const auto dh = two(&tile.dh[row][channel]);
    for (int j = 0; j < S::kGroup; ++j) {
      const auto x = two(&tile.x[row][(stream + j) * S::kSlab + channel]);
      for (int e = 0; e < 2; ++e)
        d[j].v[2 * r + e] = fmaf(c[S::kRow.pull + (M::kPerStream ? stream + j : 0)], x.v[e],
                                 c[S::kRow.pre + stream + j] * dh.v[e]);
    }
    if constexpr (M::kSublayer)
      for (int i = 0; i < kN; ++i) {
        const auto dlink = two(&tile.dlink[row][i * S::kSlab + channel]);
        for (int j = 0; j < S::kGroup; ++j)
          for (int e = 0; e < 2; ++e)
            d[j].v[2 * r + e] =
                fmaf(c[S::kRow.res + i * kN + stream + j], dlink.v[e], d[j].v[2 * r + e]);
      }
  }
}

// Computes dx of a piece, in place of its x.
template <class M, int kN>
__device__ inline void make_dx(StreamShared<M, kN>& s, StreamTile<M, kN>& tile, int piece) {
  using S = StreamShape<M, kN>;
  const int lane = int(thread() % kWarp), group = lane / 4, in_group = lane % 4;
  const int first = piece % (S::kSlab / 8) * 8, stream = piece / (S::kSlab / 8) * S::kGroup;
  MmaD d[S::kGroup];
  mix(tile, stream, first + in_group * 2, d);
  unrolled<S::kSteps>([&](int step) {
    const int k = step * 8 + in_group;
    const auto dz = [&](int row, int column) { return to_tf32(tile.c[row][column]); };
    MmaA a;
    for (int j = 0; j < S::kGroup; ++j) {
      const int own = M::kPerStream ? stream + j : 0, at = own * S::kRow.own + k;
      if (M::kPerStream || j == 0)
        a = {{dz(group, at), dz(group + 8, at), dz(group, at + 4), dz(group + 8, at + 4)}};
      const uint32_t* w = s.weights[(stream + j - own) * S::kSlab + first + group];
      mma_tf32(d[j], a, {{w[k], w[k + 4]}});
    }
  });
  for (int r = 0; r < 2; ++r)
    for (int j = 0; j < S::kGroup; ++j) {
      bf16* to = &tile.x[group + 8 * r][(stream + j) * S::kSlab + first + in_group * 2];
      store(reinterpret_cast<uint32_t*>(to),
            as_pair(round_bf16(d[j].v[2 * r]), round_bf16(d[j].v[2 * r + 1])));
    }
}

// to: the split's partial gradients, laid out as the weights.
template <class M, int kN>
__device__ inline void store_dweights(const typename M::Args& a, int64_t channel, float* to,
                                      const DWeights<M, kN>& sums) {
  using S = StreamShape<M, kN>;
  constexpr int kWide = !M::kPerStream && S::kColumns % 2 == 0 ? 2 : 1;
  const int lane = int(thread() % kWarp), warp = int(thread() / kWarp);
  if (S::kTileWarps < S::kWarps && warp >= S::kTileWarps) return;
  unrolled<S::kTiles * 2>([&](int i) {
    const int row = (warp * S::kTiles + i / 2) * 16 + lane / 4 + i % 2 * 8;
    const int64_t c = channel + row % S::kSlab;
    if (c >= a.width) return;
    unrolled<S::kSteps * 2 / kWide>([&](int q) {
      const int step = q * kWide / 2, e = q * kWide % 2, column = step * 8 + lane % 4 * 2 + e;
      if (column >= S::kColumns) return;
      Pack<float, kWide> values;
      for (int k = 0; k < kWide; ++k) values.v[k] = sums[i / 2][step].v[i % 2 * 2 + e + k];
      float* out = to + M::template index<kN>(a.width, row / S::kSlab, c, column);
      store(reinterpret_cast<Pack<float, kWide>*>(out), values);
    });
  });
}

template <class M, int kN>
__global__ void __launch_bounds__(StreamShape<M, kN>::kThreads, kN == 8 ? 1 : 2)
    streams_backward(typename M::Args a, MhcOpenBackwardCut cut) {
  using S = StreamShape<M, kN>;
  auto& s = *dynamic_shared<StreamShared<M, kN>>();
  const int64_t channel = int64_t{block_index().x} * S::kSlab;
  const int64_t begin = block_index().y * cut.split_tokens;
  const int64_t end = begin + cut.split_tokens < a.tokens ? begin + cut.split_tokens : a.tokens;
  copy_tile<M, kN>(a, begin, end, channel, s.tiles[0]);
  load_weights<M, kN>(a, channel, s);
  DWeights<M, kN> sums = {};
  int current = 0;
  for (int64_t t = begin; t < end; t += kMhcTile, current = 1 - current) {
    StreamTile<M, kN>& tile = s.tiles[current];
    copy_async_wait<0>();
    sync_block();  // this tile has arrived, and the other one's dx has been stored
    if (t + kMhcTile < end) copy_tile<M, kN>(a, t + kMhcTile, end, channel, s.tiles[1 - current]);
    add_outer<M, kN>(tile, sums);
    sync_block();  // dx will overwrite x
    for (int i = 0; i < S::kPieces; ++i) make_dx(s, tile, int(thread() / kWarp) * S::kPieces + i);
    sync_block();
    store_dx(a, tile, t, end, channel);
  }
  if (M::weights(a))
    store_dweights<M, kN>(a, channel, a.workspace + cut.dphi + block_index().y * cut.weights, sums);
}

template <class M>
void launch_streams_backward(const char* name, const typename M::Args& a,
                             const MhcOpenBackwardCut& cut, cudaStream_t stream) {
  if (a.tokens == 0) return;
  with_streams(a.n, [&]<int kN>(std::integral_constant<int, kN>) {
    launch(name, streams_backward<M, kN>,
           {.grid = {cut.slabs, cut.splits},
            .block = {StreamShape<M, kN>::kThreads},
            .shared_bytes = sizeof(StreamShared<M, kN>),
            .stream = stream},
           a, cut);
  });
}

}  // namespace birkhoff::cuda
