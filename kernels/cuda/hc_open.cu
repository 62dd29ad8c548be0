// HC's coefficients: each stream has a norm and its own n + 2 products with the rows of theta, then
// tanh; static HC has only b. open_streams.h explains how streams are opened with them.
//
// The columns of an mma are rows of theta, n + 2 of its 16 being used, and each stream has an mma
// of its own. So theta is read once for all streams of a block's tokens: 61 KB at C = 2560 and n =
// 4, where mHC reads 983 KB of phi.
#include <cmath>

#include "kernels/cuda/hc.h"
#include "kernels/cuda/open_kernel.h"

namespace birkhoff::cuda {
namespace {

struct Hc {
  using Args = HcOpenArgs;
  static constexpr bool kPerStream = true, kSublayer = true;

  static __device__ bool projects(const Args& a) { return a.theta != nullptr; }
  static __device__ float* norms(const Args& a) { return a.stream_rstd; }
  static __device__ bf16* h(const Args& a) { return a.h; }
  template <int kN>
  static __device__ float coefficient(const Args& a, float u, int column) {
    const float b = load<Cache::constant>(a.b + column);
    const int group = column / kN < 2 ? column / kN : 2;
    return projects(a) ? fmaf(load<Cache::constant>(a.alpha + group), tanhf(u), b) : b;
  }
  static __device__ float pre(const Args&, float value) { return value; }
  static __device__ float post(float value) { return value; }
  template <int kN>
  static __device__ void res(const Args&, float (&)[kN]) {}

  // Loads the lane's two rows of theta, 8 apart; zeros past the last row.
  template <int kN>
  static __device__ void load_theta(const Args& a, int row, int c,
                                    uint32_t (&theta)[2][kChannels]) {
    for (int r = 0; r < 2; ++r)
      for (int half = 0; half < 2; ++half) {
        Floats values = {};
        if (row + 8 * r < kN + 2)
          values = load<Cache::constant>(
              reinterpret_cast<const Floats*>(a.theta + (row + 8 * r) * a.width + c) + half);
        for (int e = 0; e < 4; ++e) theta[r][4 * half + e] = to_tf32(values.v[e]);
      }
  }

  template <int kN, int kTiles>
  static __device__ void project(const Args& a, const Rows<kN, kTiles>& rows,
                                 Partial<Hc, kN, kTiles>& sum) {
    const Lane lane;
    const int width = int(a.width);
    for (int step = 0; step < rows.steps; ++step) {
      const int c = lane.channel(step);
      if (c - lane.part * kChannels >= width) break;  // the whole warp
      uint32_t theta[2][kChannels];
      // Beyond the last channel x is 0, so any columns of theta will do.
      load_theta<kN>(a, lane.token, c < width ? c : width - kChannels, theta);
      for (int i = 0; i < kN; ++i)
        for (int tile = 0; tile < kTiles; ++tile) {
          const Channels x = rows.mine() ? load(rows.at(step, tile, i)) : Channels{};
          for (int pair = 0; pair < kChannels / 2; ++pair) {
            const int e = 2 * pair;
            sum.squares[tile][i] = add_squares(sum.squares[tile][i], x, e, e + 2);
            mma_tf32(sum.products[tile][i],
                     {{theta[0][e], theta[1][e], theta[0][e + 1], theta[1][e + 1]}},
                     factor_of(x, pair));
          }
        }
    }
  }
};

}  // namespace

void hc_open(const HcOpenArgs& a, cudaStream_t stream) {
  require_open("hc_open", a);
  launch_open<Hc, false>("hc_open", a, {}, stream);
}

void hc_close_open(const MhcCloseArgs& close, const HcOpenArgs& open, cudaStream_t stream) {
  require_close("hc_close_open", close);
  require_open("hc_close_open", open);
  require_closed("hc_close_open", close, {open.x, open.tokens, open.width, open.n});
  launch_open<Hc, true>("hc_close_open", open, close, stream);
}

}  // namespace birkhoff::cuda
