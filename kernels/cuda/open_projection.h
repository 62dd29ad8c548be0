#pragma once
// Device functions for v·phi, where v is all streams of a token, concatenated.
#include "kernels/cuda/open_streams.h"

namespace birkhoff::cuda {

// Adds two channels of one stream. phi points at the first channel's row, in the lane's column.
template <class M, int kN, int kTiles>
__device__ inline void add_pair(const float* phi, int pair, const Channels (&x)[kTiles],
                                Partial<M, kN, kTiles>& sum) {
  using S = OpenSizes<M, kN, kTiles>;
  MmaB factors[kTiles];
  for (int tile = 0; tile < kTiles; ++tile) {
    factors[tile] = factor_of(x[tile], pair);
    float& squares = sum.squares[tile][0];
    squares = add_squares(squares, x[tile], 2 * pair, 2 * pair + 2);
  }
  for (int p = 0; p < S::kProducts; ++p) {
    MmaA weights;
    for (int r = 0; r < 4; ++r) {
      const int column = p * 16 + r % 2 * 8;
      weights.r[r] = column + int(thread() % kWarp / kOpenGroup) < S::kColumns
                         ? to_tf32(load<Cache::constant>(phi + r / 2 * S::kColumns + column))
                         : 0;
    }
    for (int tile = 0; tile < kTiles; ++tile)
      mma_tf32(sum.products[tile][p], weights, factors[tile]);
  }
}

// Multiplies the warp's channels of all streams by their rows of the weights [n·C, columns], and
// sums x².
template <class M, int kN, int kTiles>
__device__ inline void project_all(const float* weights, int width, const Rows<kN, kTiles>& rows,
                                   Partial<M, kN, kTiles>& sum) {
  constexpr int kColumns = OpenSizes<M, kN, kTiles>::kColumns;
  const Lane lane;
  for (int step = 0; step < rows.steps; ++step) {
    const int c = lane.channel(step);
    if (c - lane.part * kChannels >= width) break;  // the whole warp
    // Beyond the last channel x is 0, so any rows of phi will do.
    const int from = c < width ? c : width - kChannels;
    for (int i = 0; i < kN; ++i) {
      const float* phi = weights + (i * width + from) * kColumns + lane.token;
      Channels x[kTiles];
      for (int tile = 0; tile < kTiles; ++tile)
        x[tile] = rows.mine() ? load(rows.at(step, tile, i)) : Channels{};
      for (int pair = 0; pair < kChannels / 2; ++pair)
        add_pair(phi + 2 * pair * kColumns, pair, x, sum);
    }
  }
}

}  // namespace birkhoff::cuda
