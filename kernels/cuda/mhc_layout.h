#pragma once
// What the passes of mHC's backward share: accesses of 16 bytes, and the row of coefficients that
// (b) writes and (c) reads. Host code reads the numbers too.
#include <initializer_list>

#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

inline constexpr int kPack = 8;  // bf16 in 16 bytes
using Bf16s = Pack<bf16, kPack>;
using Floats = Pack<float, 4>;

// A token's coefficients: dz [K, zeros up to whole tiles of 8], pre [n], res [n, n], 2·ds, and
// zeros up to 16 bytes. In shared memory two more numbers of a row matter: rows are an odd number
// of 16 bytes apart, so that eight of them lie in different banks.
struct MhcRow {
  int n, columns, padded, pre, res, pull, floats, stride;
  constexpr explicit MhcRow(int streams)
      : n(streams),
        columns(n * n + 2 * n),
        padded((columns + 7) / 8 * 8),
        pre(padded),
        res(pre + n),
        pull(res + n * n),
        floats((pull + 4) / 4 * 4),
        stride(floats / 4 % 2 == 0 ? floats + 4 : floats) {}
};

inline constexpr int kMhcSplits = 8;      // of the tokens, at most: a partial dphi for each
inline constexpr int kMhcTile = 16;       // tokens of a tile of (c): the rows of an mma
inline constexpr unsigned kMhcWarps = 4;  // of a block of (b)
constexpr int mhc_slab(int n) { return n == 8 ? 32 : 64; }  // channels of a block of (c)
// Tokens whose matrices a warp of (b) holds at a time, an entry (n = 8: two) a lane.
constexpr int mhc_group(int n) { return n * n < int(kWarp) ? int(kWarp) / (n * n) : 1; }

// Throws InternalError unless n is 1, 2, 4 or 8, width a multiple of 8, and each pointer one of 16
// bytes.
void require_rows(const char* name, int n, int64_t width,
                  std::initializer_list<const void*> pointers);

}  // namespace birkhoff::cuda
