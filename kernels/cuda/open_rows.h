#pragma once
// Device functions: the rows of a block's tokens, which stay on the chip while streams are opened.
//
// A lane keeps 8 channels of every stream of its tokens, in each step of 256 channels: x', h and y
// are then sums over what the lane has itself. It keeps them in shared memory, in places that no
// other lane reads: no barrier guards them, and no bank has two.
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/streams.h"

namespace birkhoff::cuda {

inline constexpr int kOpenWarps = kOpenThreads / kWarp;
inline constexpr int kOpenGroup = 4;  // lanes of a token

// Where a lane is among its block's rows.
struct Lane {
  int warp, token, part;  // token: of the tile; part: which 8 of a warp's 32 channels

  __device__ Lane()
      : warp(int(thread() / kWarp)),
        token(int(thread() % kWarp) / kOpenGroup),
        part(int(thread() % kOpenGroup)) {}
  __device__ int channel(int step) const {
    return ((step * kOpenWarps + warp) * kOpenGroup + part) * kChannels;
  }
};

// A lane's part of its tokens' rows.
template <int kN, int kTiles>
struct Rows {
  // Of 8 streams there is room for 4 tokens: half of the lanes have no rows.
  static constexpr int kLanes = mhc_open_tile(kN) * kOpenGroup;  // of a warp, that have rows
  Channels* first;
  int steps;

  __device__ explicit Rows(int count)
      : first(dynamic_shared<Channels>() + thread() / kWarp * kLanes + thread() % kWarp),
        steps(count) {}
  __device__ bool mine() const { return thread() % kWarp < kLanes; }
  __device__ Channels* at(int step, int tile, int i) const {
    return first + ((step * kTiles + tile) * kN + i) * kOpenWarps * kLanes;
  }
};

// Rows of x as they are.
template <class Args, int kN, int kTiles>
__device__ inline void fill(const Args& a, int64_t first, const Rows<kN, kTiles>& rows) {
  constexpr int kTile = mhc_open_tile(kN);
  if (!rows.mine()) return;
  const Lane lane;
  for (int step = 0; step < rows.steps; ++step)
    for (int tile = 0; tile < kTiles; ++tile) {
      const int64_t token = first + tile * kTile + lane.token;
      const int c = lane.channel(step);
      const bool valid = c < a.width && token < a.tokens;
      for (int i = 0; i < kN; ++i)
        copy_async(rows.at(step, tile, i), valid ? a.x + (token * kN + i) * a.width + c : a.x,
                   valid ? 16 : 0);
    }
  copy_async_commit();
  copy_async_wait<0>();  // its own copies are all that a lane reads
}

// Rows of x' as they are made.
template <int kN, int kTiles>
__device__ inline void fill_closing(const MhcCloseArgs& a, int64_t first, const Mix<kN>* mix,
                                    const Rows<kN, kTiles>& rows) {
  constexpr int kTile = mhc_open_tile(kN);
  if (!rows.mine()) return;
  const Lane lane;
  for (int step = 0; step < rows.steps; ++step)
    for (int tile = 0; tile < kTiles; ++tile) {
      const int in_block = tile * kTile + lane.token, c = lane.channel(step);
      const int64_t token = first + in_block;
      const bool valid = c < a.width && token < a.tokens;
      Channels x[kN] = {}, f = {};
      if (valid) {
        for (int j = 0; j < kN; ++j) x[j] = load_channels(a.x + (token * kN + j) * a.width + c);
        f = load_channels(a.f + token * a.width + c);
      }
      for (int i = 0; i < kN; ++i) {
        const Channels y = valid ? mixed(mix[in_block], i, x, f) : Channels{};
        store(rows.at(step, tile, i), y);
        if (valid) store_channels(a.y + (token * kN + i) * a.width + c, y);
      }
    }
}

}  // namespace birkhoff::cuda
