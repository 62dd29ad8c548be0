#include "kernels/linear.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

Input weight(const Args& a, int w, int other) {
  return a.desc<LinearDesc>().full_w ? Input(a, w) : Input(a, w, other);
}

}  // namespace

void linear(const Args& a) {
  const Input x(a, Linear::x), w = weight(a, Linear::w, Linear::x);
  const Output y(a, Linear::y);
  const int64_t rows = a.dim(Linear::x, 0), width = a.dim(Linear::x, 1), n = a.dim(Linear::w, 0);
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < width; ++k) sum += x[t * width + k] * w[i * width + k];
      y.set(t * n + i, sum);
    }
}

void linear_dx(const Args& a) {
  const bool wide_y = a.desc<LinearDesc>().wide_y;
  const Input dy(a, LinearDx::dy);
  const Input w = weight(a, LinearDx::w, wide_y ? LinearDx::x : LinearDx::dy);
  const Output dx(a, LinearDx::dx);
  const int64_t rows = a.dim(LinearDx::dy, 0), n = a.dim(LinearDx::dy, 1);
  const int64_t width = a.dim(LinearDx::w, 1);
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t k = 0; k < width; ++k) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += dy[t * n + i] * w[i * width + k];
      dx.set(t * width + k, sum);
    }
}

void linear_dw(const Args& a) {
  const Input dy(a, LinearDw::dy), x(a, LinearDw::x);
  const Output dw(a, LinearDw::dw);
  const int64_t rows = a.dim(LinearDw::dy, 0), n = a.dim(LinearDw::dy, 1);
  const int64_t width = a.dim(LinearDw::x, 1);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < width; ++k) {
      double sum = 0;
      for (int64_t t = 0; t < rows; ++t) sum += dy[t * n + i] * x[t * width + k];
      dw.set(i * width + k, sum);
    }
}

}  // namespace birkhoff::reference
