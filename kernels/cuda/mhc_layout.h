#pragma once
// What the passes of mHC's backward share: the row of coefficients that (b) writes and (c) reads.
// Host code reads the numbers too.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

// A token's coefficients: dz, pre [n], res [n, n], 2·ds, and zeros up to 16 bytes. Of mHC dz is [K,
// zeros up to whole tiles of 8], and ds one number. Where each stream has a norm and columns of its
// own (HC), dz is [n, n + 2 and zeros up to whole tiles], and there is a ds for each. Without a
// sublayer (a read-out) columns are n, and there is no res. In shared
// memory two more numbers of a row matter: rows are an odd number of 16 bytes apart, so that eight
// of them lie in different banks.
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

inline constexpr int kClusterRanks = 8;            // blocks of a cluster
inline constexpr int64_t kMhcClusterWidth = 1920;  // from which on clusters are worth asking for

inline constexpr int kMhcSplits = 8;  // of the tokens, at most: a partial dphi for each
inline constexpr int kMhcTile = 16;   // tokens of a tile of (c): the rows of an mma
// By clusters: of the tokens (an H100 has room for 16 clusters), tokens of a tile, Sinkhorn's
// iterations that there is room for.
inline constexpr int kMhcClusterSplits = 16, kMhcClusterTile = 8, kMhcClusterIterations = 28;
inline constexpr unsigned kMhcWarps = 4;                    // of a block of (b)
constexpr int mhc_slab(int n) { return n == 8 ? 32 : 64; }  // channels of a block of (c)
// Tokens whose matrices a warp of (b) holds at a time, an entry (n = 8: two) a lane.
constexpr int mhc_group(int n) { return n * n < int(kWarp) ? int(kWarp) / (n * n) : 1; }

}  // namespace birkhoff::cuda
