// How mHC's forward kernels are cut, and what they refuse: the host's half.
#include "base/error.h"
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

constexpr int64_t kStep = 256;  // channels: 8 a lane, 4 lanes a token, 8 warps or blocks

int64_t steps_of(const MhcOpenArgs& a) { return (a.width + kStep - 1) / kStep; }

// Whether a block by itself would ask for more than 1.5 times its rows, the rest being phi:
// 4·nCK bytes for each of its tokens, of 2·(n + 1)·C. Not below the width that has been looked at.
bool asks_for_cluster(const MhcOpenArgs& a, int tokens) {
  const int columns = a.n * a.n + 2 * a.n;
  return a.capability >= 90 && a.width >= kMhcClusterWidth &&
         4 * a.n * columns > (a.n + 1) * tokens;
}

}  // namespace

void require_close(const char* name, const MhcCloseArgs& a) {
  require_streams(name, a.n, a.width);
  require_aligned(name, {a.x, a.f, a.y});
}

void require_open(const char* name, const MhcOpenArgs& a) {
  require_streams(name, a.n, a.width);
  check(a.width <= kMhcMostWidth, "{}: a width of {}; a block has room for {} channels", name,
        a.width, kMhcMostWidth);
  require_aligned(name, {a.x, a.phi, a.h, a.y, a.gain, a.res, a.post});
}

void require_same_rows(const char* name, const MhcCloseArgs& close, const MhcOpenArgs& open) {
  check(open.x == close.y && open.tokens == close.tokens && open.width == close.width &&
            open.n == close.n,
        "{}: {}x{}x{} at {} are opened, {}x{}x{} at {} closed; they must be the same", name,
        open.tokens, open.n, open.width, static_cast<const void*>(open.x), close.tokens, close.n,
        close.width, static_cast<const void*>(close.y));
}

MhcOpenCut mhc_open_cut(const MhcOpenArgs& a) {
  MhcOpenCut cut;
  cut.steps = int(steps_of(a));
  cut.tokens = mhc_open_tile(a.n) * (a.n == 1 ? 4 : a.n == 2 ? 2 : 1);
  const size_t token = size_t(cut.steps * kStep * a.n) * sizeof(bf16);
  if (a.n == 2 || a.n == 4) cut.tokens *= 2 * size_t(cut.tokens) * token <= kMostRowBytes ? 2 : 1;
  if (asks_for_cluster(a, cut.tokens)) return mhc_open_cluster_cut(a);
  cut.blocks = (a.tokens + cut.tokens - 1) / cut.tokens;
  cut.shared_bytes = size_t(cut.tokens) * token;
  return cut;
}

MhcOpenCut mhc_open_cluster_cut(const MhcOpenArgs& a) {
  MhcOpenCut cut{.cluster = kOpenRanks, .tokens = 8 * mhc_open_cluster_tiles(a.n)};
  cut.steps = int(steps_of(a));
  cut.blocks = (a.tokens + cut.tokens - 1) / cut.tokens * kOpenRanks;
  cut.shared_bytes = size_t(cut.tokens * cut.steps * a.n) * kStep / kOpenRanks * sizeof(bf16);
  return cut;
}

}  // namespace birkhoff::cuda
