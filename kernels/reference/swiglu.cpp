#include "kernels/swiglu.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

int64_t valid_rows(const Args& a, int x, int offsets) {
  return a.has(offsets) ? int64_t(Input(a, offsets)[a.dim(offsets, 0) - 1]) : a.dim(x, 0);
}

}  // namespace

void swiglu(const Args& a) {
  const Input x(a, Swiglu::x);
  const Output y(a, Swiglu::y);
  const int64_t width = a.dim(Swiglu::x, 1) / 2;
  for (int64_t r = 0; r < valid_rows(a, Swiglu::x, Swiglu::offsets); ++r)
    for (int64_t f = 0; f < width; ++f) {
      const double gate = x[r * 2 * width + f], up = x[r * 2 * width + width + f];
      y.set(r * width + f, gate * sigmoid(gate) * up);
    }
}

void swiglu_backward(const Args& a) {
  using B = SwigluBackward;
  const Input dy(a, B::dy), x(a, B::x);
  const Output dx(a, B::dx);
  const int64_t width = a.dim(B::x, 1) / 2;
  for (int64_t r = 0; r < valid_rows(a, B::x, B::offsets); ++r)
    for (int64_t f = 0; f < width; ++f) {
      const int64_t at_gate = r * 2 * width + f, at_up = at_gate + width;
      const double d = dy[r * width + f], s = sigmoid(x[at_gate]);
      dx.set(at_gate, d * x[at_up] * s * (1 + x[at_gate] * (1 - s)));
      dx.set(at_up, d * x[at_gate] * s);
    }
}

}  // namespace birkhoff::reference
