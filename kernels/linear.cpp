#include "kernels/linear.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

// Requires two matrices whose dims `shared_a` (of a) and `shared_b` (of b) are equal.
void require_pair(std::string_view name, const TensorSpec& a, int shared_a, const TensorSpec& b,
                  int shared_b) {
  require(a.shape.size() == 2 && b.shape.size() == 2 && is_floating(a.dtype) &&
              a.shape[size_t(shared_a)] == b.shape[size_t(shared_b)],
          name, "{} with {}: dim {} of the first must be dim {} of the second", a, b, shared_a,
          shared_b);
}

void require_wide(std::string_view name, const TensorSpec& a, const TensorSpec& b) {
  require(b.dtype == wide(a.dtype), name, "{} with {}: the second must be {}", a, b,
          name_of(wide(a.dtype)));
}

Outputs outputs(Specs in, const Desc& desc) {
  const TensorSpec &x = in[Linear::x], &w = in[Linear::w];
  require_pair("linear", x, 1, w, 1);
  require_wide("linear", x, w);
  const DType y = desc.as<LinearDesc>().wide_y ? wide(x.dtype) : x.dtype;
  return {{.spec = {{x.shape[0], w.shape[0]}, y}}};
}

Outputs dx_outputs(Specs in, const Desc& desc) {
  const TensorSpec &dy = in[LinearDx::dy], &w = in[LinearDx::w], &x = in[LinearDx::x];
  require_pair("linear_dx", dy, 1, w, 0);
  require_wide("linear_dx", dy, w);
  const bool wide_y = desc.as<LinearDesc>().wide_y;
  require(wide_y == (x.dtype != DType::none), "linear_dx", "x {}, {}", x, desc);
  const TensorSpec dx = {{dy.shape[0], w.shape[1]}, wide_y ? x.dtype : dy.dtype};
  require(!wide_y || (x == dx && dy.dtype == wide(x.dtype)), "linear_dx", "dy {}, w {}, x {}", dy,
          w, x);
  return {{.spec = dx}};
}

Outputs dw_outputs(Specs in, const Desc&) {
  const TensorSpec &dy = in[LinearDw::dy], &x = in[LinearDw::x];
  require_pair("linear_dw", dy, 0, x, 0);
  require(dy.dtype == x.dtype || dy.dtype == wide(x.dtype), "linear_dw", "dy {}, x {}", dy, x);
  return {{.spec = {{dy.shape[1], x.shape[1]}, wide(x.dtype)}}};
}

// Each takes 2·T·N·K flop: 2 times the elements of the first input times the dim that only the
// second input has.
double flops(Specs in, const Desc&) {
  return 2.0 * double(in[Linear::x].count()) * double(in[Linear::w].shape[0]);
}
double backward_flops(Specs in, const Desc&) {
  return 2.0 * double(in[0].count()) * double(in[1].shape[1]);
}

// x is not read.
double dx_bytes(Specs in, const Desc& desc) {
  return double(in[LinearDx::dy].bytes()) + double(in[LinearDx::w].bytes()) +
         double(dx_outputs(in, desc)[0].spec.bytes());
}

void gradient(Gradient& g) {
  const SlotId x = g.desc().as<LinearDesc>().wide_y ? g.in(Linear::x) : kNone;
  g.emit(kLinearDx, {g.dy(), g.in(Linear::w), x}, {g.in(Linear::x)}, g.desc());
  g.emit(kLinearDw, {g.dy(), g.in(Linear::x)}, {g.in(Linear::w)});
}

}  // namespace

constinit const Operator kLinear{
    .name = "linear",
    .outputs = outputs,
    .flops = flops,
    .implementations = {cpu::linear, {}, kReferenceBody<reference::linear>},
    .gradient = gradient,
};

constinit const Operator kLinearDx{
    .name = "linear_dx",
    .outputs = dx_outputs,
    .flops = backward_flops,
    .implementations = {cpu::linear_dx, {}, kReferenceBody<reference::linear_dx>},
    .bytes = dx_bytes,
};

constinit const Operator kLinearDw{
    .name = "linear_dw",
    .outputs = dw_outputs,
    .flops = backward_flops,
    .implementations = {cpu::linear_dw, {}, kReferenceBody<reference::linear_dw>},
};

}  // namespace birkhoff
