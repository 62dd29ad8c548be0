// The read-out: sigmoids give the weights of the streams, with one norm per token. Streams are not
// mixed, and no norm of the result follows.
#include "kernels/cuda/readout.h"

#include "kernels/cuda/open_kernel.h"
#include "kernels/cuda/open_projection.h"
#include "kernels/cuda/require.h"
#include "kernels/cuda/sinkhorn.h"

namespace birkhoff::cuda {
namespace {

struct Readout {
  using Args = ReadoutArgs;
  static constexpr bool kPerStream = false, kSublayer = false;

  static __device__ bool projects(const Args&) { return true; }
  static __device__ float* norms(const Args& a) { return a.rho; }
  static __device__ bf16* h(const Args& a) { return a.y; }
  template <int kN>
  static __device__ float coefficient(const Args& a, float u, int column) {
    return fmaf(load<Cache::constant>(a.scale), u, load<Cache::constant>(a.base + column));
  }
  static __device__ float pre(const Args& a, float logit) { return sigmoid(logit) + a.weight_eps; }
  template <int kN, int kTiles>
  static __device__ void project(const Args& a, const Rows<kN, kTiles>& rows,
                                 Partial<Readout, kN, kTiles>& sum) {
    project_all(a.w, int(a.width), rows, sum);
  }
};

}  // namespace

void readout(const ReadoutArgs& a, cudaStream_t stream) {
  require_opened("readout", a.n, a.width);
  require_given("readout", {a.x, a.y});
  launch_open<Readout, false>("readout", a, {}, stream);
}

}  // namespace birkhoff::cuda
