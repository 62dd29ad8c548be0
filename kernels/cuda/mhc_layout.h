#pragma once
// Layout of the coefficient row that pass (b) of mHC's backward writes per token and (c) reads, and
// the sizes that kernels and host code share.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

// A token's coefficient row: dz, pre [n], res [n, n] and 2·ds, zero-padded to a multiple of 16
// bytes. In mHC dz is [K], zero-padded to whole tiles of 8 columns, and ds is one number. Where
// each stream has its own norm and columns (per_stream, HC), dz is [n, n + 2] with each n + 2
// padded to whole tiles, and each stream has its own ds. Without a sublayer (read-out) there are n
// columns and no res. In shared memory rows are `stride` floats apart, an odd number of 16-byte
// units, so that eight rows lie in different banks.
struct MhcRow {
  int n, columns, own, padded, pre, res, pull, pulls, floats, stride;
  constexpr explicit MhcRow(int streams, bool per_stream = false, bool sublayer = true)
      : n(streams),
        columns(sublayer ? n * n + 2 * n : n),
        own(((per_stream ? n + 2 : columns) + 7) / 8 * 8),
        padded(per_stream ? n * own : own),
        pre(padded),
        res(pre + n),
        pull(res + (sublayer ? n * n : 0)),
        pulls(per_stream ? n : 1),
        floats((pull + pulls + 3) / 4 * 4),
        stride(floats / 4 % 2 == 0 ? floats + 4 : floats) {}
};

inline constexpr int kClusterRanks = 8;            // blocks per cluster
inline constexpr int64_t kMhcClusterWidth = 1920;  // least C for which clusters are used

inline constexpr int kMhcSplits = 8;  // most splits of the tokens; each has a partial dphi
inline constexpr int kMhcTile = 16;   // tokens per tile of (c): the rows of an mma
// In the pass by clusters: the most splits (an H100 has room for 16 clusters), tokens per tile, and
// the most Sinkhorn iterations that fit in shared memory.
inline constexpr int kMhcClusterSplits = 16, kMhcClusterTile = 8, kMhcClusterIterations = 28;
inline constexpr unsigned kMhcWarps = 4;                    // warps per block of (b)
constexpr int mhc_slab(int n) { return n == 8 ? 32 : 64; }  // channels per block of (c)
// Tokens whose matrices a warp of (b) holds at a time, with one entry (n = 8: two) per lane.
constexpr int mhc_group(int n) { return n * n < int(kWarp) ? int(kWarp) / (n * n) : 1; }

}  // namespace birkhoff::cuda
