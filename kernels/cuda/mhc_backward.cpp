// How the passes of mHC's backward are cut: the host's half.
#include "kernels/cuda/hc_backward.h"

#include <algorithm>

#include "kernels/cuda/mhc_layout.h"
#include "kernels/cuda/readout.h"

namespace birkhoff::cuda {
namespace {

// Eight blocks of (b) for each of 132 multiprocessors, before a block takes more tokens.
constexpr int64_t kBlocks = 8 * 132;
// A split of fewer tokens moves more for its partial dphi than a fifth of what they move:
// 2·4·K bytes a channel and stream against 2·28/4 for each token.
constexpr int64_t kLeastTiles = 4;

constexpr int64_t ceil_to(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// weights: floats of a channel.
MhcOpenBackwardCut cut_of(int64_t tokens, int64_t width, const MhcRow& row, int64_t weights) {
  const int n = row.n;
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
  cut.weights = width * weights;
  cut.workspace = cut.dphi + int64_t{cut.splits} * cut.weights;
  return cut;
}

}  // namespace

MhcOpenBackwardCut mhc_open_backward_cut(int64_t tokens, int64_t width, int n) {
  const MhcRow row(n);
  return cut_of(tokens, width, row, int64_t{n} * row.columns);
}
MhcOpenBackwardCut readout_backward_cut(int64_t tokens, int64_t width, int n) {
  return cut_of(tokens, width, MhcRow(n, false, false), int64_t{n} * n);
}
MhcOpenBackwardCut hc_open_backward_cut(int64_t tokens, int64_t width, int n) {
  return cut_of(tokens, width, MhcRow(n, true), n + 2);
}

}  // namespace birkhoff::cuda
