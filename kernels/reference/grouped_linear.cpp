#include "kernels/grouped_linear.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void grouped_linear(const Args& a) {
  using G = GroupedLinear;
  const Input x(a, G::x), offsets(a, G::offsets), w(a, G::w, G::x);
  const Output y(a, G::y);
  const int64_t experts = a.dim(G::w, 0), n = a.dim(G::w, 1), width = a.dim(G::w, 2);
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t r = int64_t(offsets[e]); r < int64_t(offsets[e + 1]); ++r)
      for (int64_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int64_t k = 0; k < width; ++k) sum += x[r * width + k] * w[(e * n + i) * width + k];
        y.set(r * n + i, sum);
      }
}

void grouped_linear_dx(const Args& a) {
  using G = GroupedLinearDx;
  const Input dy(a, G::dy), offsets(a, G::offsets), w(a, G::w, G::dy);
  const Output dx(a, G::dx);
  const int64_t experts = a.dim(G::w, 0), n = a.dim(G::w, 1), width = a.dim(G::w, 2);
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t r = int64_t(offsets[e]); r < int64_t(offsets[e + 1]); ++r)
      for (int64_t k = 0; k < width; ++k) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += dy[r * n + i] * w[(e * n + i) * width + k];
        dx.set(r * width + k, sum);
      }
}

void grouped_linear_dw(const Args& a) {
  using G = GroupedLinearDw;
  const Input dy(a, G::dy), x(a, G::x), offsets(a, G::offsets);
  const Output dw(a, G::dw);
  const int64_t experts = a.count(G::offsets) - 1, n = a.dim(G::dy, 1), width = a.dim(G::x, 1);
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t k = 0; k < width; ++k) {
        double sum = 0;
        for (int64_t r = int64_t(offsets[e]); r < int64_t(offsets[e + 1]); ++r)
          sum += dy[r * n + i] * x[r * width + k];
        dw.set((e * n + i) * width + k, sum);
      }
}

}  // namespace birkhoff::reference
