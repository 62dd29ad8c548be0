#include "kernels/linear.h"

#include "kernels/bodies.h"
#include "kernels/cpu/matmul.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

// Two matrices whose dim `shared_a` of the first is dim `shared_b` of the second.
void require_pair(std::string_view name, const TensorSpec& a, int shared_a, const TensorSpec& b,
                  int shared_b) {
  require(a.shape.size() == 2 && b.shape.size() == 2 && is_floating(a.dtype) &&
              a.dtype == b.dtype && a.shape[size_t(shared_a)] == b.shape[size_t(shared_b)],
          name, "{} with {}: dim {} of the first must be dim {} of the second", a, b, shared_a,
          shared_b);
}

Outputs outputs(Specs in, const Desc&) {
  const TensorSpec &x = in[Linear::x], &w = in[Linear::w];
  require_pair("linear", x, 1, w, 1);
  return {{.spec = {{x.shape[0], w.shape[0]}, x.dtype}}};
}

Outputs dx_outputs(Specs in, const Desc&) {
  const TensorSpec &dy = in[LinearDx::dy], &w = in[LinearDx::w];
  require_pair("linear_dx", dy, 1, w, 0);
  return {{.spec = {{dy.shape[0], w.shape[1]}, dy.dtype}}};
}

Outputs dw_outputs(Specs in, const Desc&) {
  const TensorSpec &dy = in[LinearDw::dy], &x = in[LinearDw::x];
  require_pair("linear_dw", dy, 0, x, 0);
  return {{.spec = {{dy.shape[1], x.shape[1]}, dy.dtype}}};
}

// 2·T·N·K each: the elements of the first input, and the dim that only the second has.
double flops(Specs in, const Desc&) {
  return 2.0 * double(in[Linear::x].count()) * double(in[Linear::w].shape[0]);
}
double backward_flops(Specs in, const Desc&) {
  return 2.0 * double(in[0].count()) * double(in[1].shape[1]);
}

Workspace workspace(Specs, const Desc&) { return {.per_thread = cpu::kMatmulWorkspace}; }

void gradient(Gradient& g) {
  g.emit(kLinearDx, {g.dy(), g.in(Linear::w)}, {g.in(Linear::x)});
  g.emit(kLinearDw, {g.dy(), g.in(Linear::x)}, {g.in(Linear::w)});
}

}  // namespace

const Operator kLinear{
    .name = "linear",
    .outputs = outputs,
    .flops = flops,
    .body = {cpu::linear, reference::linear},
    .gradient = gradient,
    .workspace = workspace,
};

const Operator kLinearDx{
    .name = "linear_dx",
    .outputs = dx_outputs,
    .flops = backward_flops,
    .body = {cpu::linear_dx, reference::linear_dx},
    .workspace = workspace,
};

const Operator kLinearDw{
    .name = "linear_dw",
    .outputs = dw_outputs,
    .flops = backward_flops,
    .body = {cpu::linear_dw, reference::linear_dw},
    .workspace = workspace,
};

}  // namespace birkhoff
