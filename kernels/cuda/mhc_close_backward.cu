// Pass (a): a warp handles one token and reads each of its rows once, 16 bytes per lane, with
// n² + n sums per lane in registers. At n = 4 it does 24 FMAs per channel and moves 20 bytes: a
// tenth of what the arithmetic units could do in the time memory needs, so tensor cores would not
// help.
#include "kernels/cuda/channels.h"
#include "kernels/cuda/mhc_backward.h"
#include "kernels/cuda/require.h"
#include "kernels/cuda/unrolled.h"
#include "kernels/cuda/warp_sum.h"
#include "kernels/cuda/with_streams.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 128, kWarps = kThreads / kWarp;

// Layout of a lane's sums: n² of dres if there is a link, then n of dpost.
template <int kN, bool kLink>
struct Dots {
  static constexpr int kPost = kLink ? kN * kN : 0, kAll = kPost + kN;
};

// Handles 8 channels of token t, from c on: stores df and adds to the sums.
template <int kN, bool kLink>
__device__ inline void add_channels(const MhcCloseBackwardArgs& a, int64_t t, int64_t c,
                                    const float (&post)[kN], float (&dots)[Dots<kN, kLink>::kAll]) {
  const auto row = [&](const bf16* rows, int64_t number) {
    return load_channels(rows + number * a.width + c);
  };
  Channels dy[kN];
  for (int i = 0; i < kN; ++i) dy[i] = row(a.dy, t * kN + i);
  const Channels f = row(a.f, t);
  float df[kChannels] = {};
  for (int e = 0; e < kChannels; ++e)
    for (int i = 0; i < kN; ++i) {
      const float d = channel(dy[i], e);
      df[e] = fmaf(post[i], d, df[e]);
      float& dot = dots[Dots<kN, kLink>::kPost + i];
      dot = fmaf(d, channel(f, e), dot);
    }
  if constexpr (kLink)
    unrolled<kN>([&](int j) {
      const Channels x = row(a.link, t * kN + j);
      for (int e = 0; e < kChannels; ++e)
        for (int i = 0; i < kN; ++i)
          dots[i * kN + j] = fmaf(channel(dy[i], e), channel(x, e), dots[i * kN + j]);
    });
  store_channels(a.df + t * a.width + c, rounded(df));
}

// Without the minimum number of blocks, ptxas limits n = 8 to 168 registers, and spills.
template <int kN, bool kLink>
__global__ void __launch_bounds__(kThreads, kN == 8 ? 2 : 4)
    close_backward(MhcCloseBackwardArgs a) {
  const unsigned lane = thread() % kWarp;
  const int64_t t = int64_t{block_index().x} * kWarps + thread() / kWarp;
  if (t >= a.tokens) return;  // the whole warp
  const float mine = lane < kN ? load(a.post + t * kN + lane) : 0;
  constexpr int kPost = Dots<kN, kLink>::kPost, kSums = Dots<kN, kLink>::kAll;
  float post[kN], dots[kSums] = {};
  for (int i = 0; i < kN; ++i) post[i] = shuffle(kFullMask, mine, unsigned(i));
  for (int64_t c = lane * kChannels; c < a.width; c += kWarp * kChannels)
    add_channels<kN, kLink>(a, t, c, post, dots);
  // Lane k keeps sum k, and the one 32 further on, so that stores of a warp are contiguous.
  float kept[(kSums + int(kWarp) - 1) / int(kWarp)] = {};
  unrolled<kSums>([&](int k) {
    const float sum = warp_sum(dots[k]);
    if (lane == unsigned(k) % kWarp) kept[unsigned(k) / kWarp] = sum;
  });
  for (int k = int(lane), h = 0; k < kSums; k += int(kWarp), ++h)
    store(k < kPost ? a.dres + t * kPost + k : a.dpost + t * kN + k - kPost, kept[h]);
}

}  // namespace

void mhc_close_backward(const MhcCloseBackwardArgs& a, cudaStream_t stream) {
  require_streams("mhc_close_backward", a.n, a.width);
  require_given("mhc_close_backward", {a.dy, a.f, a.df});
  require_aligned("mhc_close_backward", {a.link});
  require_all_or_none("mhc_close_backward", "link and dres", {a.link, a.dres});
  if (a.tokens == 0) return;
  const auto blocks = unsigned((a.tokens + kWarps - 1) / kWarps);
  with_streams(a.n, [&]<int kN>(std::integral_constant<int, kN>) {
    launch("mhc_close_backward", a.link ? close_backward<kN, true> : close_backward<kN, false>,
           {.grid = {blocks}, .block = {kThreads}, .stream = stream}, a);
  });
}

}  // namespace birkhoff::cuda
