// A row of x and dy stays in registers from the sum over it until dx is stored. A block keeps gain
// and its partial dgain in registers for all of its rows; a second kernel adds up the blocks in
// order.
#include "kernels/cuda/rms_norm_backward.h"

#include "kernels/cuda/channels.h"
#include "kernels/cuda/flat.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kParts = 16;

struct Shared {
  float sums[2][kThreads / kWarp];  // double-buffered by row parity
};

struct Gains {
  float gain[kChannels], dgain[kChannels];
};

// The index in the row of this thread's pack p; past the row's end, there is none.
__device__ inline int64_t pack_of(int p) { return thread() + int64_t{p} * block_dim().x; }

template <int kPacks>
__device__ inline float load_row(const RmsNormBackwardArgs& a, int64_t row,
                                 const Gains (&gains)[kPacks], Channels (&x)[kPacks],
                                 Channels (&dy)[kPacks]) {
  const int64_t packs = a.width / kChannels;
  float dot = 0;
  for (int p = 0; p < kPacks; ++p) {
    if (pack_of(p) >= packs) break;
    const int64_t at = row * a.width + pack_of(p) * kChannels;
    x[p] = load_channels(a.x + at);
    dy[p] = load_channels(a.dy + at);
    for (int e = 0; e < kChannels; ++e)
      dot = fmaf(gains[p].gain[e] * channel(dy[p], e), channel(x[p], e), dot);
  }
  return dot;
}

template <int kPacks>
__global__ void __launch_bounds__(kThreads)
    rms_norm_backward_rows(RmsNormBackwardArgs a, RmsNormBackwardCut cut) {
  auto& s = shared<Shared>();
  const int64_t packs = a.width / kChannels, first = block_index().x * cut.rows;
  Gains gains[kPacks] = {};
  for (int p = 0; p < kPacks; ++p) {
    if (pack_of(p) >= packs) break;
    for (int half = 0; half < 2; ++half) {
      const auto* from = reinterpret_cast<const Floats*>(a.gain) + 2 * pack_of(p) + half;
      const Floats gain = load<Cache::constant>(from);
      for (int e = 0; e < 4; ++e) gains[p].gain[4 * half + e] = gain.v[e];
    }
  }
  for (int64_t row = first; row < first + cut.rows && row < a.tokens; ++row) {
    Channels x[kPacks] = {}, dy[kPacks] = {};
    const float dot = block_sum(load_row<kPacks>(a, row, gains, x, dy), s.sums[(row - first) % 2]);
    const float mine = thread() % kWarp == 0 ? load(a.rstd + row) : 0;
    const float rstd = shuffle(kFullMask, mine, 0), pull = dot * (rstd * rstd) / float(a.width);
    for (int p = 0; p < kPacks; ++p) {
      if (pack_of(p) >= packs) break;
      const int64_t at = row * a.width + pack_of(p) * kChannels;
      const Channels base = a.dx_base ? load_channels(a.dx_base + at) : Channels{};
      float dx[kChannels];
      for (int e = 0; e < kChannels; ++e) {
        const float vx = channel(x[p], e), vdy = channel(dy[p], e);
        gains[p].dgain[e] = fmaf(vdy * vx, rstd, gains[p].dgain[e]);
        const float value = rstd * (gains[p].gain[e] * vdy - vx * pull);
        dx[e] = a.dx_base ? channel(base, e) + value : value;
      }
      store_channels(a.dx + at, rounded(dx));
    }
  }
  auto* partial = reinterpret_cast<Floats*>(a.workspace + block_index().x * a.width);
  for (int p = 0; p < kPacks; ++p) {
    if (pack_of(p) >= packs) break;
    for (int half = 0; half < 2; ++half) {
      Floats sums;
      for (int e = 0; e < 4; ++e) sums.v[e] = gains[p].dgain[4 * half + e];
      store(partial + 2 * pack_of(p) + half, sums);
    }
  }
}

struct Parts {
  float sums[kParts][kWarp];
};

// Adds up the blocks' partial dgain. Runs as blocks of [kWarp channels, kParts] threads.
__global__ void __launch_bounds__(kWarp* kParts)
    rms_norm_sum_gains(RmsNormBackwardArgs a, unsigned blocks) {
  auto& s = shared<Parts>();
  const unsigned part = thread_index().y, each = (blocks + kParts - 1) / kParts;
  const int64_t c = int64_t{block_index().x} * kWarp + thread_index().x;
  float sum = 0;
  if (c < a.width)
    for (unsigned b = part * each; b < (part + 1) * each && b < blocks; ++b)
      sum += load(a.workspace + b * a.width + c);
  s.sums[part][thread_index().x] = sum;
  sync_block();
  if (part != 0 || c >= a.width) return;
  sum = 0;
  for (const auto& of : s.sums) sum += of[thread_index().x];
  store(a.dgain + c, a.dgain_base ? load(a.dgain_base + c) + sum : sum);
}

}  // namespace

void rms_norm_backward(const RmsNormBackwardArgs& a, cudaStream_t stream) {
  const RmsNormBackwardCut cut = rms_norm_backward_cut(a.tokens, a.width);
  require_aligned("rms_norm_backward", {a.dy, a.x, a.gain, a.dx, a.dx_base, a.workspace});
  const auto kernel = cut.packs == 1   ? rms_norm_backward_rows<1>
                      : cut.packs == 2 ? rms_norm_backward_rows<2>
                                       : rms_norm_backward_rows<4>;
  if (a.tokens > 0)
    launch("rms_norm_backward", kernel,
           {.grid = {cut.blocks}, .block = {cut.threads}, .stream = stream}, a, cut);
  launch("rms_norm_sum_gains", rms_norm_sum_gains,
         {.grid = {unsigned((a.width + kWarp - 1) / kWarp)},
          .block = {kWarp, kParts},
          .stream = stream},
         a, cut.blocks);
}

}  // namespace birkhoff::cuda
