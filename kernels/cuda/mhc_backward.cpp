// The host side of the backward passes: how calls are divided, and argument checks.
#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/mhc.h"
#include "kernels/cuda/mhc_passes.h"
#include "kernels/cuda/readout.h"

namespace birkhoff::cuda {
namespace {

// (b) has up to eight blocks for each of 132 multiprocessors; with more tokens, a block takes more.
constexpr int64_t kBlocks = 8 * 132;
// With fewer tokens, a split's partial dphi would move more than a fifth of what the tokens do:
// 2·4·K bytes per channel and stream, against 2·28/4 per token.
constexpr int64_t kLeastTiles = 4;
// Tiles of 8 tokens per cluster, which has three in flight at a time. With 8 tiles the partial dphi
// is a third of what the cluster moves.
constexpr int64_t kLeastClusterTiles = 8;

constexpr int64_t ceil_to(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// weights: number of weights per channel.
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

bool mhc_backward_in_two_passes(const MhcOpenBackwardArgs& a) {
  return a.capability >= 90 && a.n <= 4 && a.width >= kMhcClusterWidth &&
         a.width <= kMhcMostWidth && a.sinkhorn.iterations <= kMhcClusterIterations;
}

void require_dres(const MhcOpenBackwardArgs& a) {
  const bool two = mhc_backward_in_two_passes(a);
  check(two == !a.dres,
        "mhc_open_backward: dres {}, but with {} passes it is computed {} (see "
        "mhc_backward_in_two_passes)",
        a.dres ? "is given" : "is missing", two ? "two" : "three",
        two ? "from dlink and x" : "by mhc_close_backward");
}

MhcOpenBackwardCut mhc_open_backward_cluster_cut(const MhcOpenBackwardArgs& a) {
  const int64_t columns = MhcRow(a.n).columns;
  MhcOpenBackwardCut cut;
  const int64_t tiles = (a.tokens + kMhcClusterTile - 1) / kMhcClusterTile;
  cut.split_tokens =
      std::max((tiles + kMhcClusterSplits - 1) / kMhcClusterSplits, kLeastClusterTiles) *
      kMhcClusterTile;
  cut.splits = unsigned((a.tokens + cut.split_tokens - 1) / cut.split_tokens);
  cut.slab = int(ceil_to((a.width + kClusterRanks - 1) / kClusterRanks, 16));
  cut.blocks = cut.splits * kClusterRanks;
  cut.dphi = ceil_to(int64_t{cut.blocks} * 2 * columns, 4);
  cut.weights = a.width * a.n * columns;
  cut.workspace = cut.dphi + int64_t{cut.splits} * cut.weights;
  return cut;
}

MhcOpenBackwardCut mhc_open_backward_cut(const MhcOpenBackwardArgs& a) {
  if (mhc_backward_in_two_passes(a)) return mhc_open_backward_cluster_cut(a);
  const MhcRow row(a.n);
  return cut_of(a.tokens, a.width, row, int64_t{a.n} * row.columns);
}
MhcOpenBackwardCut readout_backward_cut(int64_t tokens, int64_t width, int n) {
  return cut_of(tokens, width, MhcRow(n, false, false), int64_t{n} * n);
}
MhcOpenBackwardCut hc_open_backward_cut(int64_t tokens, int64_t width, int n) {
  return cut_of(tokens, width, MhcRow(n, true), n + 2);
}

}  // namespace birkhoff::cuda
