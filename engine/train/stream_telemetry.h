#pragma once
// How far the residual path amplifies, from a step's stream statistics (arXiv 2512.24880 §3.1,
// Eq. 5 and figure 3). All by sublayer, in order; products in double.
#include <span>
#include <vector>

namespace birkhoff {

// R_l: mean over the step's tokens of the sublayer's H_res [n, n]; P_l = R_{L−1}·…·R_l, what
// reaches the end of what enters sublayer l.
struct StreamTelemetry {
  std::vector<double> gain_forward, gain_backward;  // max |row sum|, max |column sum| of R_l
  std::vector<double> composite_forward, composite_backward;  // of P_l
  std::vector<double> column_error;                           // max |column sum − 1| of R_l
  std::vector<double> cosine;  // mean over pairs of the streams that enter the sublayer
  bool empty() const { return gain_forward.empty(); }
  void clear() { resize(0); }
  void resize(size_t sublayers) {
    for (auto* series : {&gain_forward, &gain_backward, &composite_forward, &composite_backward,
                         &column_error, &cosine})
      series->resize(sublayers);
  }
};

// `sums`: of each sublayer the output of kernels/stream_statistics.h. Not finite where H_res is
// not. Allocates only where `into` has not been of so many sublayers before. REQUIRES n ≤ 16, as
// model.streams is.
void stream_telemetry(std::span<const std::span<const double>> sums, StreamTelemetry& into);

}  // namespace birkhoff
