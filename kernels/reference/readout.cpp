#include "kernels/readout.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

void readout(const Args& a) {
  using R = Readout;
  const Input x(a, R::x), w(a, R::w), scale(a, R::scale), bias(a, R::base);
  const Output y(a, R::y), u_out(a, R::u), rho_out(a, R::rho);
  const ReadoutDesc& desc = a.desc<ReadoutDesc>();
  const int64_t n = desc.n, wide = a.dim(R::x, 1), width = wide / n;
  for (int64_t t = 0; t < a.dim(R::x, 0); ++t) {
    double squares = 0;
    for (int64_t e = 0; e < wide; ++e) squares += x[t * wide + e] * x[t * wide + e];
    const double rho = 1 / std::sqrt(squares / double(wide) + desc.eps);
    rho_out.set(t, rho);
    std::vector<double> weights;
    for (int64_t i = 0; i < n; ++i) {
      double u = 0;
      for (int64_t e = 0; e < wide; ++e) u += rho * x[t * wide + e] * w[e * n + i];
      u_out.set(t * n + i, u);
      weights.push_back(sigmoid(scale[0] * u + bias[i]) + desc.weight_eps);
    }
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += weights[size_t(i)] * x[t * wide + i * width + c];
      y.set(t * width + c, sum);
    }
  }
}

void readout_backward(const Args& a) {
  using B = ReadoutBackward;
  const Input dy(a, B::dy), x(a, B::x), w(a, B::w), scale(a, B::scale), bias(a, B::base);
  const Input u(a, B::u), rho(a, B::rho);
  const Output dx(a, B::dx), dw_out(a, B::dw), dscale_out(a, B::dscale), dbase_out(a, B::dbase);
  const ReadoutDesc& desc = a.desc<ReadoutDesc>();
  const int64_t n = desc.n, wide = a.dim(B::x, 1), width = wide / n;
  std::vector<double> dw(size_t(wide * n), 0.0), dbase(size_t(n), 0.0);
  double dscale = 0;
  for (int64_t t = 0; t < a.dim(B::x, 0); ++t) {
    std::vector<double> weights, dz;
    double ds = 0;  // gradient of Σv²
    for (int64_t i = 0; i < n; ++i) {
      const double sigma = sigmoid(scale[0] * u[t * n + i] + bias[i]);
      double dp = 0;
      for (int64_t c = 0; c < width; ++c) dp += dy[t * width + c] * x[t * wide + i * width + c];
      const double logit = dp * sigma * (1 - sigma), du = scale[0] * logit;
      weights.push_back(sigma + desc.weight_eps);
      dz.push_back(rho[t] * du);
      dscale += logit * u[t * n + i];
      dbase[size_t(i)] += logit;
      ds -= 0.5 * du * u[t * n + i] * rho[t] * rho[t] / double(wide);
    }
    for (int64_t j = 0; j < n; ++j)
      for (int64_t c = 0; c < width; ++c) {
        const int64_t e = j * width + c;
        double sum = weights[size_t(j)] * dy[t * width + c] + 2 * x[t * wide + e] * ds;
        for (int64_t i = 0; i < n; ++i) {
          sum += dz[size_t(i)] * w[e * n + i];
          dw[size_t(e * n + i)] += x[t * wide + e] * dz[size_t(i)];
        }
        dx.set(t * wide + e, sum);
      }
  }
  for (int64_t e = 0; e < wide * n; ++e) dw_out.set(e, dw[size_t(e)]);
  for (int64_t i = 0; i < n; ++i) dbase_out.set(i, dbase[size_t(i)]);
  dscale_out.set(0, dscale);
}

}  // namespace birkhoff::reference
