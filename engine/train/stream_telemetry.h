#pragma once
// How far the residual path amplifies, from the statistics of a step's residual streams (arXiv
// 2512.24880 §3.1, Eq. 5 and figure 3). Everything is by sublayer, in order; products are in
// double.
#include <span>
#include <vector>

namespace birkhoff {

// R_l: mean over the step's tokens of the sublayer's H_res [n, n]; P_l = R_{L−1}·…·R_l, which
// carries what enters sublayer l to the end.
struct StreamTelemetry {
  std::vector<double> gain_forward, gain_backward;  // max |row sum|, max |column sum| of R_l
  std::vector<double> composite_forward, composite_backward;  // of P_l
  std::vector<double> column_error;                           // max |column sum − 1| of R_l
  std::vector<double> cosine;  // mean over pairs of the residual streams that enter the sublayer
  bool empty() const { return gain_forward.empty(); }
  void clear() { resize(0); }
  void resize(size_t sublayers) {
    for (auto* series : {&gain_forward, &gain_backward, &composite_forward, &composite_backward,
                         &column_error, &cosine})
      series->resize(sublayers);
  }
};

// `sums`: per sublayer, the output of kernels/stream_statistics.h. The results are not finite where
// H_res is not. Allocates only if `into` has not had that many sublayers before. REQUIRES n ≤ 16,
// as for model.streams.
void stream_telemetry(std::span<const std::span<const double>> sums, StreamTelemetry& into);

}  // namespace birkhoff
