// How the passes of mHC's backward are cut, and what they refuse: the host's half.
#include "kernels/cuda/mhc_backward.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/mhc_layout.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

// Eight blocks of (b) for each of 132 multiprocessors, before a block takes more tokens.
constexpr int64_t kBlocks = 8 * 132;
// A split of fewer tokens moves more for its partial dphi than a fifth of what they move:
// 2·4·K bytes a channel and stream against 2·28/4 for each token.
constexpr int64_t kLeastTiles = 4;

constexpr int64_t ceil_to(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

MhcOpenBackwardCut mhc_open_backward_cut(int64_t tokens, int64_t width, int n) {
  const MhcRow row(n);
  MhcOpenBackwardCut cut;
  cut.row = row.floats;
  cut.block_tokens =
      ceil_to(std::max<int64_t>((tokens + kBlocks - 1) / kBlocks, 1), kMhcWarps * mhc_group(n));
  cut.blocks = unsigned((tokens + cut.block_tokens - 1) / cut.block_tokens);
  cut.slab = mhc_slab(n);
  cut.slabs = unsigned((width + cut.slab - 1) / cut.slab);
  const int64_t tiles = (tokens + kMhcTile - 1) / kMhcTile;
  cut.split_tokens = std::max((tiles + kMhcSplits - 1) / kMhcSplits, kLeastTiles) * kMhcTile;
  cut.splits = unsigned((tokens + cut.split_tokens - 1) / cut.split_tokens);
  cut.sums = tokens * cut.row;
  cut.dphi = ceil_to(cut.sums + int64_t{cut.blocks} * 2 * row.columns, 4);
  cut.workspace = cut.dphi + int64_t{cut.splits} * n * width * row.columns;
  return cut;
}

void require_rows(const char* name, int n, int64_t width,
                  std::initializer_list<const void*> pointers) {
  require_streams(name, n, width);
  for (const void* p : pointers) check(p, "{}: rows that are missing", name);
  require_aligned(name, pointers);
}

}  // namespace birkhoff::cuda
