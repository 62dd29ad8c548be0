// The host side of opening and closing streams: how calls are divided, and argument checks.
#include "base/error.h"
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

// Channels per step: 8 per lane × 4 lanes per token × 8 warps, or 8 blocks of a cluster.
constexpr int64_t kStep = 256;

int steps_of(int64_t width) { return int((width + kStep - 1) / kStep); }

// Whether a single block would request more than 1.5 times the bytes of its rows: phi adds 4·nCK
// bytes to 2·(n + 1)·C for each of its tokens. False below the least width that was examined.
bool asks_for_cluster(const MhcOpenArgs& a, int tokens) {
  const int columns = a.n * a.n + 2 * a.n;
  return a.capability >= 90 && a.width >= kMhcClusterWidth &&
         4 * a.n * columns > (a.n + 1) * tokens;
}

}  // namespace

void require_opened(const char* name, int n, int64_t width) {
  require_streams(name, n, width);
  check(width <= kMhcMostWidth, "{}: a width of {} is too large; a block has room for {} channels",
        name, width, kMhcMostWidth);
}

void require_close(const char* name, const MhcCloseArgs& a) {
  require_streams(name, a.n, a.width);
  require_aligned(name, {a.x, a.f, a.y});
}

void require_open(const char* name, const MhcOpenArgs& a) {
  require_opened(name, a.n, a.width);
  require_aligned(name, {a.x, a.phi, a.h, a.y, a.gain, a.res, a.post});
}

void require_open(const char* name, const HcOpenArgs& a) {
  require_opened(name, a.n, a.width);
  require_aligned(name, {a.x, a.h, a.y, a.gain, a.res, a.post, a.theta});
  require_all_or_none(name, "theta, alpha, u and stream_rstd",
                      {a.theta, a.alpha, a.u, a.stream_rstd});
}

void require_closed(const char* name, const MhcCloseArgs& close, const OpenedRows& open) {
  check(open.x == close.y && open.tokens == close.tokens && open.width == close.width &&
            open.n == close.n,
        "{}: {}x{}x{} at {} is opened, but {}x{}x{} at {} is closed; both must be the same", name,
        open.tokens, open.n, open.width, static_cast<const void*>(open.x), close.tokens, close.n,
        close.width, static_cast<const void*>(close.y));
}

MhcOpenCut streams_open_cut(int64_t tokens, int64_t width, int n) {
  MhcOpenCut cut;
  cut.steps = steps_of(width);
  cut.tokens = mhc_open_tile(n) * (n == 1 ? 4 : n == 2 ? 2 : 1);
  const size_t token = size_t(cut.steps * kStep * n) * sizeof(bf16);
  if (n == 2 || n == 4) cut.tokens *= 2 * size_t(cut.tokens) * token <= kMostRowBytes ? 2 : 1;
  cut.blocks = (tokens + cut.tokens - 1) / cut.tokens;
  cut.shared_bytes = size_t(cut.tokens) * token;
  return cut;
}

MhcOpenCut mhc_open_cluster_cut(const MhcOpenArgs& a) {
  MhcOpenCut cut{.cluster = kClusterRanks, .tokens = 8 * mhc_open_cluster_tiles(a.n)};
  cut.steps = steps_of(a.width);
  cut.blocks = (a.tokens + cut.tokens - 1) / cut.tokens * kClusterRanks;
  cut.shared_bytes = size_t(cut.tokens * cut.steps * a.n) * kStep / kClusterRanks * sizeof(bf16);
  return cut;
}

MhcOpenCut mhc_open_cut(const MhcOpenArgs& a) {
  const MhcOpenCut cut = streams_open_cut(a.tokens, a.width, a.n);
  return asks_for_cluster(a, cut.tokens) ? mhc_open_cluster_cut(a) : cut;
}
MhcOpenCut hc_open_cut(const HcOpenArgs& a) { return streams_open_cut(a.tokens, a.width, a.n); }

unsigned token_threads(int64_t width) {
  const int64_t packs = (width + 7) / 8, rounds = (packs + kTokenThreads - 1) / kTokenThreads;
  return unsigned(((packs + rounds - 1) / rounds + kWarp - 1) / kWarp * kWarp);
}

}  // namespace birkhoff::cuda
