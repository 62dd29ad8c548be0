// mHC's coefficients: all of a token's x·phi, one norm, sigmoids and Sinkhorn–Knopp. How streams
// are opened by them is in open_streams.h.
//
// Rows fill what a block of sm_80 may have: 8 tokens of 4·2560 or 16 of 4·1280 are 160 KiB of 163.
// So phi is read once for 4 to 32 tokens and not for 64; that takes a cluster of blocks (sm_90).
// Rows in registers as well, for 16 tokens of 4·2560, were tried: ptxas spills.
#include "kernels/cuda/open_kernel.h"
#include "kernels/cuda/open_projection.h"
#include "kernels/cuda/sinkhorn.h"

namespace birkhoff::cuda {
namespace {

struct Mhc {
  using Args = MhcOpenArgs;
  static constexpr bool kPerStream = false, kSublayer = true;

  static __device__ bool projects(const Args&) { return true; }
  static __device__ float* norms(const Args& a) { return a.rho; }
  static __device__ bf16* h(const Args& a) { return a.h; }
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

  template <int kN, int kTiles>
  static __device__ void project(const Args& a, const Rows<kN, kTiles>& rows,
                                 Partial<Mhc, kN, kTiles>& sum) {
    project_all(a.phi, int(a.width), rows, sum);
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
