// The read-out's backward, by passes (b) and (c) of mHC's, with one group of coefficients and no
// link.
#include <cmath>

#include "kernels/cuda/backward_streams.h"
#include "kernels/cuda/backward_sums.h"
#include "kernels/cuda/readout.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

struct Rows {  // the arguments, under the names that those passes use
  const bf16 *x, *dh;
  const float *w, *alpha, *b, *u, *rho, *dalpha_base, *db_base;
  bf16* dx;
  float *dalpha, *db, *workspace;
  int64_t tokens, width;
  int n;
  float weight_eps;
};

struct Readout {
  using Args = Rows;
  static constexpr bool kPerStream = false, kSublayer = false;
  static constexpr unsigned kAlphas = 1;

  static __device__ bool projects(const Args&) { return true; }
  static __device__ const float* norms(const Args& a) { return a.rho; }
  static __device__ Bounded bounded(float u) { return {u, 1}; }
  template <int kN>
  static constexpr __device__ int trace_floats(const Args&) {
    return 0;
  }
  template <int kN>
  static __device__ void gradients(const Args& a, const CoefficientParameters<Readout, kN>& s,
                                   CoefficientGroup<Readout, kN>& g, float*) {
    using S = CoefficientShape<Readout, kN>;
    for (int i = int(thread() % kWarp); i < S::kGroup * kN; i += int(kWarp)) {
      const int k = i % S::kGroup, c = i / S::kGroup;
      const float gate = 1 / (1 + expf(-fmaf(s.alpha[0], g.u[k][c], s.b[c])));
      g.row[k][c] *= gate * (1 - gate);
      g.row[k][S::kRow.pre + c] = gate + a.weight_eps;
    }
  }

  static __device__ const float* weights(const Args& a) { return a.w; }
  template <int kN>
  static __device__ int64_t index(int64_t width, int64_t stream, int64_t channel, int64_t column) {
    return (stream * width + channel) * kN + column;
  }
};

}  // namespace

void readout_backward(const ReadoutBackwardArgs& a, cudaStream_t stream) {
  const char* name = "readout_backward";
  require_streams(name, a.n, a.width);
  require_given(name, {a.x, a.dy, a.dx, a.w, a.dw, a.workspace});
  require_aligned(name, {a.dw_base});
  const MhcOpenBackwardCut cut = readout_backward_cut(a.tokens, a.width, a.n);
  const Rows rows{.x = a.x,
                  .dh = a.dy,
                  .w = a.w,
                  .alpha = a.scale,
                  .b = a.base,
                  .u = a.u,
                  .rho = a.rho,
                  .dalpha_base = a.dscale_base,
                  .db_base = a.dbase_base,
                  .dx = a.dx,
                  .dalpha = a.dscale,
                  .db = a.dbase,
                  .workspace = a.workspace,
                  .tokens = a.tokens,
                  .width = a.width,
                  .n = a.n,
                  .weight_eps = a.weight_eps};
  launch_coefficients_backward<Readout>("readout_coefficients_backward", rows, cut, stream);
  launch_streams_backward<Readout>("readout_streams_backward", rows, cut, stream);
  sum_splits({a.workspace + cut.dphi, cut.splits, cut.weights, a.dw_base, a.dw}, stream);
}

}  // namespace birkhoff::cuda
