#include "kernels/rms_norm.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void rms_norm(const Args& a) {
  const Input x(a, RmsNorm::x), gain(a, RmsNorm::gain);
  const Output y(a, RmsNorm::y), rstd(a, RmsNorm::rstd);
  const int64_t rows = a.dim(RmsNorm::x, 0), width = a.dim(RmsNorm::x, 1);
  const double eps = a.desc<RmsNorm::Desc>().eps;
  for (int64_t t = 0; t < rows; ++t) {
    double squares = 0;
    for (int64_t c = 0; c < width; ++c) squares += x[t * width + c] * x[t * width + c];
    const double r = 1 / std::sqrt(squares / double(width) + eps);
    for (int64_t c = 0; c < width; ++c) y.set(t * width + c, gain[c] * x[t * width + c] * r);
    rstd.set(t, r);
  }
}

void rms_norm_backward(const Args& a) {
  using B = RmsNormBackward;
  const Input dy(a, B::dy), x(a, B::x), gain(a, B::gain), rstd(a, B::rstd);
  const Output dx(a, B::dx), dgain(a, B::dgain);
  const int64_t rows = a.dim(B::x, 0), width = a.dim(B::x, 1);
  std::vector<double> sum(width);
  for (int64_t t = 0; t < rows; ++t) {
    const int64_t row = t * width;
    double dot = 0;
    for (int64_t c = 0; c < width; ++c) dot += gain[c] * dy[row + c] * x[row + c];
    const double pull = dot * rstd[t] * rstd[t] / double(width);
    for (int64_t c = 0; c < width; ++c) {
      dx.set(row + c, rstd[t] * (gain[c] * dy[row + c] - x[row + c] * pull));
      sum[c] += dy[row + c] * x[row + c] * rstd[t];
    }
  }
  for (int64_t c = 0; c < width; ++c) dgain.set(c, sum[c]);
}

}  // namespace birkhoff::reference
