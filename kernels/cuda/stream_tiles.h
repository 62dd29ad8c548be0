#pragma once
// Device functions for the shared memory of pass (c) (backward_streams.h): a double-buffered slab
// of channels of all streams for 16 tokens, and the weights of the slab.
//
// The map M, a traits class, says what the weights are:
//
//   M::Args                              x, dh, dlink, dx, workspace, tokens, width
//   M::kPerStream                        each stream has its own columns of dz; all share weights
//   M::kSublayer                         whether dlink and res exist
//   M::weights(a)                        null if there are no weights, and so no gradients of them
//   M::index<kN>(C, stream, c, column)   offset of the weight of a channel and a column
#include "kernels/cuda/channels.h"
#include "kernels/cuda/mhc_passes.h"

namespace birkhoff::cuda {

template <class M, int kN>
struct StreamShape {
  static constexpr MhcRow kRow{kN, M::kPerStream, M::kSublayer};
  static constexpr int kSlab = mhc_slab(kN);
  // Weights in shared memory, [rows, columns]. kAdded streams share them and add to the same
  // gradients.
  static constexpr int kRows = M::kPerStream ? kSlab : kN * kSlab;
  static constexpr int kColumns = M::kPerStream ? kN + 2 : kRow.columns;
  static constexpr int kAdded = M::kPerStream ? kN : 1;
  static constexpr int kWarps = kN == 8 ? 8 : 4;
  static constexpr unsigned kThreads = unsigned(kWarps) * kWarp;
  // Tiles of 16 rows per warp, and the number of warps that have any.
  static constexpr int kTiles = kRows < 16 * kWarps ? 1 : kRows / 16 / kWarps;
  static constexpr int kTileWarps = kRows / 16 / kTiles;
  static constexpr int kSteps = kRow.own / 8;  // tiles of 8 columns
  // One piece of work is dx of 16 tokens × 8 channels × kGroup streams. At n = 8 it has only two
  // streams: a lane's 80 sums of dphi leave no registers for four.
  static constexpr int kGroup = kN < 4 ? kN : kN == 4 ? 4 : 2;
  static constexpr int kPieces = kSlab / 8 * (kN / kGroup) / kWarps;
};

// Rows are an odd number of 16-byte units apart, so that eight of them, one per group of lanes, lie
// in different banks, both for ldmatrix and for fragments.
template <class M, int kN>
struct StreamTile {
  using S = StreamShape<M, kN>;
  alignas(16) bf16 x[kMhcTile][kN * S::kSlab + kChannels];  // later dx
  // Unused without a sublayer.
  alignas(16) bf16 dlink[M::kSublayer ? kMhcTile : 1][kN * S::kSlab + kChannels];
  alignas(16) bf16 dh[kMhcTile][S::kSlab + kChannels];
  alignas(16) float c[kMhcTile][S::kRow.stride];
};

template <class M, int kN>
struct StreamShared {
  using S = StreamShape<M, kN>;
  alignas(16) uint32_t weights[S::kRows][S::kRow.own + 4];  // tf32
  StreamTile<M, kN> tiles[2];
};

// The row and column of piece i, of `columns` pieces per row. Consecutive pieces go down eight rows
// and then to the next column, which avoids bank conflicts and partly used sectors.
struct Piece {
  int row, column;
  __device__ Piece(int i, int columns)
      : row(i % 8 + i / (8 * columns) * 8), column(i / 8 % columns) {}
};

template <class M, int kN>
__device__ inline void load_weights(const typename M::Args& a, int64_t channel,
                                    StreamShared<M, kN>& s) {
  using S = StreamShape<M, kN>;
  constexpr int kWide = !M::kPerStream && S::kColumns % 4 == 0 ? 4 : 1;
  using Values = Pack<float, kWide>;
  const float* weights = M::weights(a);
  for (int i = int(thread()); i < S::kRows * S::kRow.own / kWide; i += int(S::kThreads)) {
    const Piece at(i, S::kRow.own / kWide);
    const int64_t c = channel + at.row % S::kSlab;
    const int column = at.column * kWide;
    Values values = {};
    if (c < a.width && column < S::kColumns && weights)
      values = load<Cache::constant>(reinterpret_cast<const Values*>(
          weights + M::template index<kN>(a.width, at.row / S::kSlab, c, column)));
    Pack<uint32_t, kWide> rounded;
    for (int e = 0; e < kWide; ++e) rounded.v[e] = to_tf32(values.v[e]);
    store(reinterpret_cast<Pack<uint32_t, kWide>*>(&s.weights[at.row][column]), rounded);
  }
}

// Starts the copies of the tile at token `first`; zero-fills past the last token and channel.
template <class M, int kN>
__device__ inline void copy_tile(const typename M::Args& a, int64_t first, int64_t end,
                                 int64_t channel, StreamTile<M, kN>& tile) {
  using S = StreamShape<M, kN>;
  constexpr int kChunks = S::kSlab / kChannels, kCoefficients = S::kRow.floats / 4;
  const int id = int(thread());
  const auto copy = [&](void* to, const bf16* rows, int64_t row, int64_t c, int64_t t) {
    const bool there = t < end && c < a.width;
    copy_async(to, there ? rows + row * a.width + c : rows, there ? 16 : 0);
  };
  for (int i = id; i < kMhcTile * kN * kChunks; i += int(S::kThreads)) {
    const int chunk = i % kChunks, stream = i / kChunks % kN, row = i / (kChunks * kN);
    const int64_t t = first + row, c = channel + chunk * kChannels;
    const int at = stream * S::kSlab + chunk * kChannels;
    copy(&tile.x[row][at], a.x, t * kN + stream, c, t);
    if constexpr (M::kSublayer) copy(&tile.dlink[row][at], a.dlink, t * kN + stream, c, t);
  }
  for (int i = id; i < kMhcTile * kChunks; i += int(S::kThreads)) {
    const Piece at(i, kChunks);
    const int64_t t = first + at.row, c = channel + at.column * kChannels;
    copy(&tile.dh[at.row][at.column * kChannels], a.dh, t, c, t);
  }
  for (int i = id; i < kMhcTile * kCoefficients; i += int(S::kThreads)) {
    const Piece at(i, kCoefficients);
    const bool there = first + at.row < end;
    copy_async(
        &tile.c[at.row][at.column * 4],
        there ? a.workspace + (first + at.row) * S::kRow.floats + at.column * 4 : a.workspace,
        there ? 16 : 0);
  }
  copy_async_commit();
}

template <class M, int kN>
__device__ inline void store_dx(const typename M::Args& a, const StreamTile<M, kN>& tile,
                                int64_t first, int64_t end, int64_t channel) {
  using S = StreamShape<M, kN>;
  constexpr int kChunks = S::kSlab / kChannels;
  for (int i = int(thread()); i < kMhcTile * kN * kChunks; i += int(S::kThreads)) {
    const int chunk = i % kChunks, stream = i / kChunks % kN, row = i / (kChunks * kN);
    const int64_t t = first + row, c = channel + chunk * kChannels;
    if (t >= end || c >= a.width) continue;
    store_channels(
        a.dx + (t * kN + stream) * a.width + c,
        load_channels<Cache::normal>(&tile.x[row][stream * S::kSlab + chunk * kChannels]));
  }
}

}  // namespace birkhoff::cuda
