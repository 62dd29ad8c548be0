#pragma once
// Device functions for the rows of a block's tokens, which stay on the chip while streams are
// opened.
//
// In each step of 256 channels, a lane keeps 8 channels of every stream of its tokens, so x', h and
// y are sums over the lane's own data. It keeps them in shared memory that no other lane accesses,
// so they need no barrier and cause no bank conflicts.
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/streams.h"

namespace birkhoff::cuda {

inline constexpr int kOpenWarps = kOpenThreads / kWarp;
inline constexpr int kOpenGroup = 4;  // lanes per token

// Which part of the block's rows a lane has.
struct Lane {
  int warp, token, part;  // token: in the tile; part: which 8 of the warp's 32 channels

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
  // Lanes per warp that have rows. At n = 8 there is room for 4 tokens, so half of them have none.
  static constexpr int kLanes = mhc_open_tile(kN) * kOpenGroup;
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

// Fills the rows by copying x.
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
  copy_async_wait<0>();  // no barrier: a lane reads only what it copied itself
}

// Closes the streams of x and fills the rows with x', which it also stores.
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
