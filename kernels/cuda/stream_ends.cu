// A block handles one token, and a thread 8 channels of all its streams. Memory-bound.
#include "kernels/cuda/stream_ends.h"

#include "kernels/cuda/channels.h"
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

__device__ inline void store_sum(const StreamEndsArgs& a, int64_t at,
                                 const float (&values)[kChannels]) {
  Channels y = rounded(values);
  if (a.base) {
    const Channels base = load_channels(a.base + at);
    float sums[kChannels];
    for (int e = 0; e < kChannels; ++e) sums[e] = channel(base, e) + values[e];
    y = rounded(sums);
  }
  store_channels(a.y + at, y);
}

template <int kN>
__global__ void __launch_bounds__(kTokenThreads) to_streams(StreamEndsArgs a, float scale) {
  const int64_t token = block_index().x;
  for (int64_t c = thread() * kChannels; c < a.width; c += block_dim().x * kChannels) {
    const Channels x = load_channels(a.x + token * a.width + c);
    float values[kChannels];
    for (int e = 0; e < kChannels; ++e) values[e] = channel(x, e) * scale;
    for (int i = 0; i < kN; ++i) store_sum(a, (token * kN + i) * a.width + c, values);
  }
}

template <int kN>
__global__ void __launch_bounds__(kTokenThreads) from_streams(StreamEndsArgs a, float scale) {
  const int64_t token = block_index().x;
  for (int64_t c = thread() * kChannels; c < a.width; c += block_dim().x * kChannels) {
    float values[kChannels] = {};
    for (int i = 0; i < kN; ++i) {
      const Channels x = load_channels(a.x + (token * kN + i) * a.width + c);
      for (int e = 0; e < kChannels; ++e) values[e] += channel(x, e);
    }
    for (float& value : values) value *= scale;
    store_sum(a, token * a.width + c, values);
  }
}

using Kernel = void (*)(StreamEndsArgs, float);

// kernels: for 1, 2, 4 and 8 streams.
void run(const char* name, const Kernel (&kernels)[4], const StreamEndsArgs& a, bool divides,
         cudaStream_t stream) {
  require_streams(name, a.n, a.width);
  require_given(name, {a.x, a.y});
  require_aligned(name, {a.base});
  if (a.tokens == 0) return;
  launch(name,
         kernels[a.n == 1   ? 0
                 : a.n == 2 ? 1
                 : a.n == 4 ? 2
                            : 3],
         {.grid = {unsigned(a.tokens)}, .block = {token_threads(a.width)}, .stream = stream}, a,
         divides ? 1.0f / float(a.n) : 1.0f);  // exact, as n is a power of two
}

constexpr Kernel kTo[] = {to_streams<1>, to_streams<2>, to_streams<4>, to_streams<8>};
constexpr Kernel kFrom[] = {from_streams<1>, from_streams<2>, from_streams<4>, from_streams<8>};

}  // namespace

void copy_streams(const StreamEndsArgs& a, cudaStream_t stream) {
  run("copy_streams", kTo, a, false, stream);
}
void spread_streams(const StreamEndsArgs& a, cudaStream_t stream) {
  run("spread_streams", kTo, a, true, stream);
}
void sum_streams(const StreamEndsArgs& a, cudaStream_t stream) {
  run("sum_streams", kFrom, a, false, stream);
}
void mean_streams(const StreamEndsArgs& a, cudaStream_t stream) {
  run("mean_streams", kFrom, a, true, stream);
}

}  // namespace birkhoff::cuda
