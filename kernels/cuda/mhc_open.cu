// mHC's coefficients: all of a token's x·phi, one norm, sigmoids and Sinkhorn–Knopp. How streams
// are opened by them is in open_streams.h.
//
// Rows fill what a block of sm_80 may have: 8 tokens of 4·2560 or 16 of 4·1280 are 160 KiB of 163.
// So phi is read once for 4 to 32 tokens and not for 64; that takes a cluster of blocks (sm_90).
// Rows in registers as well, for 16 tokens of 4·2560, were tried: ptxas spills.
#include "kernels/cuda/open_kernel.h"
#include "kernels/cuda/sinkhorn.h"

namespace birkhoff::cuda {
namespace {

struct Mhc {
  using Args = MhcOpenArgs;
  static constexpr bool kPerStream = false;

  static __device__ bool projects(const Args&) { return true; }
  static __device__ float* norms(const Args& a) { return a.rho; }
  template <int kN>
  static __device__ float coefficient(const Args& a, float u, int column) {
    const int group = column / kN < 2 ? column / kN : 2;
    return fmaf(load<Cache::constant>(a.alpha + group), u, load<Cache::constant>(a.b + column));
  }
  static __device__ float pre(const Args& a, float logit) {
    return sigmoid(logit) + a.sinkhorn.pre_eps();
  }
  static __device__ float post(float logit) { return 2.0f * sigmoid(logit); }
  template <int kN>
  static __device__ void res(const Args& a, float (&row)[kN]) {
    sinkhorn(row, a.sinkhorn);
  }

  // Adds two channels of one stream. phi: of the lane's column and the first of them.
  template <int kN, int kTiles>
  static __device__ void add_pair(const float* phi, int pair, const Channels (&x)[kTiles],
                                  Partial<Mhc, kN, kTiles>& sum) {
    using S = OpenSizes<Mhc, kN, kTiles>;
    MmaB of[kTiles];
    for (int tile = 0; tile < kTiles; ++tile) {
      of[tile] = factors(x[tile], pair);
      sum.squares[tile][0] = add_squares(x[tile], pair, sum.squares[tile][0]);
    }
    for (int p = 0; p < S::kProducts; ++p) {
      MmaA weights;
      for (int r = 0; r < 4; ++r) {
        const int column = p * 16 + r % 2 * 8;
        weights.r[r] = column + int(thread() % kWarp / kOpenGroup) < S::kColumns
                           ? to_tf32(load<Cache::constant>(phi + r / 2 * S::kColumns + column))
                           : 0;
      }
      for (int tile = 0; tile < kTiles; ++tile) mma_tf32(sum.products[tile][p], weights, of[tile]);
    }
  }

  template <int kN, int kTiles>
  static __device__ void project(const Args& a, const Rows<kN, kTiles>& rows,
                                 Partial<Mhc, kN, kTiles>& sum) {
    constexpr int kColumns = OpenSizes<Mhc, kN, kTiles>::kColumns;
    const Lane lane;
    const int width = int(a.width);
    for (int step = 0; step < rows.steps; ++step) {
      const int c = lane.channel(step);
      if (c - lane.part * kChannels >= width) break;  // the whole warp
      // Behind the last channel x is 0: any of phi will do.
      const int from = c < width ? c : width - kChannels;
      for (int i = 0; i < kN; ++i) {
        const float* phi = a.phi + (i * width + from) * kColumns + lane.token;
        Channels x[kTiles];
        for (int tile = 0; tile < kTiles; ++tile)
          x[tile] = rows.mine() ? load(rows.at(step, tile, i)) : Channels{};
        for (int pair = 0; pair < kChannels / 2; ++pair)
          add_pair<kN, kTiles>(phi + 2 * pair * kColumns, pair, x, sum);
      }
    }
  }
};

}  // namespace

void mhc_open(const MhcOpenArgs& a, cudaStream_t stream) {
  require_open("mhc_open", a);
  launch_open<Mhc, false>("mhc_open", a, {}, stream);
}

void mhc_close_open(const MhcCloseArgs& close, const MhcOpenArgs& open, cudaStream_t stream) {
  require_close("mhc_close_open", close);
  require_open("mhc_close_open", open);
  require_closed("mhc_close_open", close, {open.x, open.tokens, open.width, open.n});
  launch_open<Mhc, true>("mhc_close_open", open, close, stream);
}

}  // namespace birkhoff::cuda
