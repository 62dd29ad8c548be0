#include "kernels/rope.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

// Frequency of the pair of features that starts at `feature`.
double frequency(const Rope::Desc& desc, int64_t feature) {
  const double plain = std::pow(desc.theta, -double(feature) / double(desc.dims));
  if (desc.factor == 1) return plain;
  const int64_t pair = feature / 2;
  double r = (double(pair) - desc.low) / (desc.high - desc.low);
  if (r < 0) r = 0;
  if (r > 1) r = 1;
  return plain * (1 - r) + plain / desc.factor * r;
}

}  // namespace

void rope(const Args& a) {
  const Input x(a, Rope::x), position(a, Rope::position);
  const Output y(a, Rope::y);
  const auto& desc = a.desc<Rope::Desc>();
  const int64_t tokens = a.dim(Rope::x, 0), width = a.dim(Rope::x, 1) / desc.heads;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < desc.heads; ++h) {
      const int64_t head = (t * desc.heads + h) * width, turned = head + width - desc.dims;
      for (int64_t i = head; i < turned; ++i) y.set(i, x[i]);
      for (int64_t i = 0; i < desc.dims; i += 2) {
        const double angle = position[t] * frequency(desc, i);
        const double c = desc.magnitude * std::cos(angle);
        const double s = desc.magnitude * (desc.inverse ? -std::sin(angle) : std::sin(angle));
        const double even = x[turned + i], odd = x[turned + i + 1];
        y.set(turned + i, even * c - odd * s);
        y.set(turned + i + 1, even * s + odd * c);
      }
    }
}

}  // namespace birkhoff::reference
