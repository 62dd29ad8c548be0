#include "kernels/rms_norm.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

Outputs outputs(Specs in, const Desc&) {
  const TensorSpec &x = in[RmsNorm::x], &gain = in[RmsNorm::gain];
  require(x.shape.size() == 2 && is_floating(x.dtype) &&
              gain == TensorSpec{{x.shape[1]}, wide(x.dtype)},
          "rms_norm", "x {}, gain {}", x, gain);
  return {{.spec = x}, {.spec = {{x.shape[0]}, wide(x.dtype)}, .saved = true}};
}

Outputs backward_outputs(Specs in, const Desc&) {
  const TensorSpec &dy = in[RmsNormBackward::dy], &x = in[RmsNormBackward::x];
  require(dy == x, "rms_norm_backward", "dy {}, x {}", dy, x);
  return {{.spec = x}, {.spec = in[RmsNormBackward::gain]}};
}

Workspace backward_workspace(Specs in, const Desc&) {
  const Shape& x = in[RmsNormBackward::x].shape;
  const int64_t blocks = (x[0] + kRmsNormTokens - 1) / kRmsNormTokens;
  return {.shared = size_t(blocks * x[1]) * sizeof(float)};  // Partial sums of dgain.
}

void gradient(Gradient& g) {
  g.emit(kRmsNormBackward, {g.dy(), g.in(RmsNorm::x), g.in(RmsNorm::gain), g.out(RmsNorm::rstd)},
         {g.in(RmsNorm::x), g.in(RmsNorm::gain)});
}

}  // namespace

const Operator kRmsNorm{
    .name = "rms_norm",
    .outputs = outputs,
    .flops = [](Specs in, const Desc&) { return 4.0 * in[RmsNorm::x].count(); },
    .body = {cpu::rms_norm, reference::rms_norm},
    .gradient = gradient,
};

const Operator kRmsNormBackward{
    .name = "rms_norm_backward",
    .outputs = backward_outputs,
    .flops = [](Specs in, const Desc&) { return 10.0 * in[RmsNormBackward::x].count(); },
    .body = {cpu::rms_norm_backward, reference::rms_norm_backward},
    .workspace = backward_workspace,
};

}  // namespace birkhoff
