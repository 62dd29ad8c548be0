// One block per token: each thread reads 8 channels of all streams and of f by accesses of 16
// bytes, and writes 8 channels of all streams. With 40 FMAs for 18 accesses it is memory-bound.
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/streams.h"

namespace birkhoff::cuda {
namespace {

template <int kN>
struct CloseShared {
  Mix<kN> mix[1];
};

template <int kN>
__global__ void __launch_bounds__(kTokenThreads) close_streams(MhcCloseArgs a) {
  auto& s = shared<CloseShared<kN>>();
  const int64_t token = block_index().x;
  load_mixes(a.res, a.post, token, a.tokens, s.mix);
  sync_block();
  for (int64_t c = thread() * kChannels; c < a.width; c += block_dim().x * kChannels) {
    const int64_t at = token * kN * a.width + c;
    Channels x[kN];
    for (int j = 0; j < kN; ++j) x[j] = load_channels(a.x + at + j * a.width);
    const Channels f = load_channels(a.f + token * a.width + c);
    for (int i = 0; i < kN; ++i) store_channels(a.y + at + i * a.width, mixed(s.mix[0], i, x, f));
  }
}

}  // namespace

void mhc_close(const MhcCloseArgs& a, cudaStream_t stream) {
  require_close("mhc_close", a);
  if (a.tokens == 0) return;
  const auto kernel = a.n == 1   ? close_streams<1>
                      : a.n == 2 ? close_streams<2>
                      : a.n == 4 ? close_streams<4>
                                 : close_streams<8>;
  launch("mhc_close", kernel,
         {.grid = {unsigned(a.tokens)}, .block = {token_threads(a.width)}, .stream = stream}, a);
}

}  // namespace birkhoff::cuda
