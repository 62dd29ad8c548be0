// mHC's coefficients: all of a token's x·phi, one norm, sigmoids and Sinkhorn–Knopp.
// open_streams.h explains how streams are opened with them.
//
// The rows fill the shared memory that a block of sm_80 may have: 8 tokens of 4·2560 or 16 of
// 4·1280 are 160 KiB of 163. So one read of phi serves 4 to 32 tokens; serving 64 takes a cluster
// of blocks (sm_90/mhc_open_cluster.cu). Keeping rows in registers as well, for 16 tokens of
// 4·2560, was tried: ptxas spills.
#include "kernels/cuda/mhc_map.h"
#include "kernels/cuda/open_kernel.h"
#include "kernels/cuda/open_projection.h"

namespace birkhoff::cuda {
namespace {

struct Mhc : MhcMap {
  static constexpr bool kPerStream = false, kSublayer = true;

  static __device__ bool projects(const Args&) { return true; }
  static __device__ float* norms(const Args& a) { return a.rho; }
  static __device__ bf16* h(const Args& a) { return a.h; }
  template <int kN, int kTiles>
  static __device__ void project(const Args& a, const Rows<kN, kTiles>& rows,
                                 Partial<Mhc, kN, kTiles>& sum) {
    project_all(a.phi, int(a.width), rows, sum);
  }
};

template <bool kCloses>
void run(const char* name, const MhcOpenArgs& a, const MhcCloseArgs& close, cudaStream_t stream) {
  const MhcOpenCut cut = mhc_open_cut(a);
  if (cut.cluster > 1)
    mhc_open_cluster(name, a, kCloses ? &close : nullptr, stream);
  else
    launch_open<Mhc, kCloses>(name, a, close, stream);
}

}  // namespace

void mhc_open(const MhcOpenArgs& a, cudaStream_t stream) {
  require_open("mhc_open", a);
  run<false>("mhc_open", a, {}, stream);
}

void mhc_close_open(const MhcCloseArgs& close, const MhcOpenArgs& open, cudaStream_t stream) {
  require_close("mhc_close_open", close);
  require_open("mhc_close_open", open);
  require_closed("mhc_close_open", close, {open.x, open.tokens, open.width, open.n});
  run<true>("mhc_close_open", open, close, stream);
}

}  // namespace birkhoff::cuda
