// A warp handles one token at a time and reads each of its rows once, 16 bytes per lane, with the
// products of all pairs of streams in registers; lane k sums entry k of H_res, and the one 32
// further on. A block writes its sums to memory, and a second kernel adds up the blocks.
#include "kernels/cuda/stream_statistics.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/channels.h"
#include "kernels/cuda/require.h"
#include "kernels/cuda/unrolled.h"
#include "kernels/cuda/warp_sum.h"
#include "kernels/cuda/with_streams.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 128, kWarps = kThreads / kWarp;
constexpr unsigned kParts = 8;  // ranges of blocks that the second kernel adds in parallel
// Up to two blocks for each of 132 multiprocessors, as one block reads all their sums; with more
// tokens, a block takes more. 16 tokens of 4·1280 are 160 KB, against the 144 bytes that a block
// writes.
constexpr int64_t kBlocks = 2 * 132, kLeastTokens = 16;
constexpr unsigned kMostSums = 8 * 8 + 2;

template <int kN>
constexpr int kPairs = kN*(kN + 1) / 2;
constexpr int pair_of(int i, int j) { return j * (j + 1) / 2 + i; }  // i ≤ j

template <int kN>
struct Shared {
  double sums[kWarps][kN * kN + 2];
};

// The mean cosine over all pairs of a token's streams. All lanes get the same result.
template <int kN>
__device__ inline double alike(const StreamStatisticsArgs& a, int64_t token) {
  float dots[kPairs<kN>] = {};
  for (int64_t c = thread() % kWarp * kChannels; c < a.width; c += kWarp * kChannels) {
    Channels x[kN];
    for (int i = 0; i < kN; ++i) x[i] = load_channels(a.x + (token * kN + i) * a.width + c);
    unrolled<kN>([&](int j) {
      for (int i = 0; i <= j; ++i)
        for (int e = 0; e < kChannels; ++e)
          dots[pair_of(i, j)] = fmaf(channel(x[i], e), channel(x[j], e), dots[pair_of(i, j)]);
    });
  }
  unrolled<kPairs<kN>>([&](int k) { dots[k] = warp_sum(dots[k]); });
  double sum = 0;
  unrolled<kN>([&](int j) {
    const double norm = double(dots[pair_of(j, j)]);
    for (int i = 0; i < j; ++i) {
      const double other = double(dots[pair_of(i, i)]);
      if (norm > 0 && other > 0) sum += double(dots[pair_of(i, j)]) / sqrt(norm * other);
    }
  });
  return sum / (double(kN) * double(kN - 1) / 2);
}

template <int kN>
__global__ void __launch_bounds__(kThreads)
    statistics_of_rows(StreamStatisticsArgs a, int64_t block_tokens) {
  constexpr int kSquare = kN * kN, kHeld = (kSquare + int(kWarp) - 1) / int(kWarp);
  if (load(a.when) == 0) return;
  auto& s = shared<Shared<kN>>();
  const int lane = int(thread() % kWarp), warp = int(thread() / kWarp);
  double res[kHeld] = {}, sum = 0, count = 0;
  const int64_t begin = block_index().x * block_tokens;
  const int64_t end = begin + block_tokens < a.tokens ? begin + block_tokens : a.tokens;
  for (int64_t t = begin + warp; t < end; t += kWarps) {
    if (load(a.position + t) < 0) continue;  // padding
    count += 1;
    for (int h = 0; h < kHeld; ++h) {
      const int e = lane + h * int(kWarp);
      if (e < kSquare) res[h] += double(load(a.res + t * kSquare + e));
    }
    if constexpr (kN == 1)
      sum += 1;
    else
      sum += alike<kN>(a, t);
  }
  for (int h = 0; h < kHeld; ++h) {
    const int e = lane + h * int(kWarp);
    if (e < kSquare) s.sums[warp][e] = res[h];
  }
  if (lane == 0) s.sums[warp][kSquare] = sum, s.sums[warp][kSquare + 1] = count;
  sync_block();
  for (int e = int(thread()); e < kSquare + 2; e += int(kThreads)) {
    double total = 0;
    for (const auto& of : s.sums) total += of[e];
    store(a.workspace + int64_t{block_index().x} * (kSquare + 2) + e, total);
  }
}

struct Parts {
  double sums[kParts * kMostSums];
};

// Runs as one block of [n² + 2, kParts] threads.
__global__ void __launch_bounds__(kMostSums* kParts)
    sum_statistics(StreamStatisticsArgs a, unsigned blocks) {
  auto& s = shared<Parts>();
  const unsigned sums = block_dim().x, k = thread_index().x, part = thread_index().y;
  const bool on = load(a.when) != 0;
  const unsigned each = (blocks + kParts - 1) / kParts;
  double sum = 0;
  for (unsigned b = part * each; on && b < (part + 1) * each && b < blocks; ++b)
    sum += load(a.workspace + int64_t{b} * sums + k);
  s.sums[part * sums + k] = sum;
  sync_block();
  if (part != 0) return;
  sum = 0;
  for (unsigned p = 0; p < kParts; ++p) sum += s.sums[p * sums + k];
  store(a.y + k, a.base ? load(a.base + k) + sum : sum);
}

}  // namespace

StreamStatisticsCut stream_statistics_cut(int64_t tokens) {
  StreamStatisticsCut cut;
  cut.block_tokens = std::max(kLeastTokens, (tokens + kBlocks - 1) / kBlocks);
  cut.blocks = unsigned((tokens + cut.block_tokens - 1) / cut.block_tokens);
  return cut;
}

void stream_statistics(const StreamStatisticsArgs& a, cudaStream_t stream) {
  require_streams("stream_statistics", a.n, a.width);
  require_given("stream_statistics", {a.x});
  const StreamStatisticsCut cut = stream_statistics_cut(a.tokens);
  if (a.tokens > 0)
    with_streams(a.n, [&]<int kN>(std::integral_constant<int, kN>) {
      launch("stream_statistics", statistics_of_rows<kN>,
             {.grid = {cut.blocks}, .block = {kThreads}, .stream = stream}, a, cut.block_tokens);
    });
  launch("sum_statistics", sum_statistics,
         {.grid = {1}, .block = {unsigned(a.n * a.n + 2), kParts}, .stream = stream}, a,
         cut.blocks);
}

}  // namespace birkhoff::cuda
