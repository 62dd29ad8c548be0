#include "kernels/rope.h"

#include <algorithm>
#include <cmath>

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

Outputs outputs(Specs in, const Desc& desc) {
  const TensorSpec &x = in[Rope::x], &position = in[Rope::position];
  const auto& d = desc.as<Rope::Desc>();
  require(x.shape.size() == 2 && is_floating(x.dtype) && d.heads > 0 && x.shape[1] % d.heads == 0 &&
              position == TensorSpec{{x.shape[0]}, DType::i32},
          "rope", "x {}, position {}, {} heads", x, position, d.heads);
  require(d.dims >= 0 && d.dims % 2 == 0 && d.dims <= x.shape[1] / d.heads && d.theta > 0, "rope",
          "{} dims of {}, theta {}", d.dims, x.shape[1] / d.heads, d.theta);
  require(d.factor > 0 && d.magnitude > 0 && (d.factor == 1 || d.low != d.high), "rope",
          "factor {}, ramp from {} to {}, magnitude {}", d.factor, d.low, d.high, d.magnitude);
  return {{.spec = x}};
}

double flops(Specs in, const Desc& desc) {
  const auto& d = desc.as<Rope::Desc>();
  return 3.0 * double(in[Rope::x].shape[0] * d.heads * d.dims);
}

void gradient(Gradient& g) {
  auto back = g.desc().as<Rope::Desc>();
  back.inverse = !back.inverse;
  g.emit(kRope, {g.dy(), g.in(Rope::position)}, {g.in(Rope::x)}, back);
}

}  // namespace

double rope_frequency(const Rope::Desc& d, int64_t pair) {
  const double plain = std::pow(d.theta, -2.0 * double(pair) / double(d.dims));
  if (d.factor == 1) return plain;
  const double ramp = std::clamp((double(pair) - d.low) / (d.high - d.low), 0.0, 1.0);
  return plain * (1 - ramp + ramp / d.factor);
}

constinit const Operator kRope{
    .name = "rope",
    .outputs = outputs,
    .flops = flops,
    .implementations = {cpu::rope, {}, kReferenceBody<reference::rope>},
    .gradient = gradient,
};

}  // namespace birkhoff
