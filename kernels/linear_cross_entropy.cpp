#include "kernels/linear_cross_entropy.h"

#include <algorithm>

#include "kernels/bodies.h"
#include "kernels/cpu/matmul.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

using Cut = CrossEntropyCut;

void require_head(std::string_view name, const TensorSpec& h, const TensorSpec& w,
                  const TensorSpec& target) {
  require(h.shape.size() == 2 && w.shape.size() == 2 && h.shape[1] == w.shape[1] &&
              w.shape[0] > 0 && is_floating(h.dtype) && w.dtype == wide(h.dtype) &&
              target.shape == Shape{h.shape[0]} && target.dtype == DType::i32,
          name, "h {}, w {}, target {}", h, w, target);
}

Outputs outputs(Specs in, const Desc&) {
  using L = LinearCrossEntropy;
  const TensorSpec& h = in[L::h];
  require_head("linear_cross_entropy", h, in[L::w], in[L::target]);
  const TensorSpec row = {{h.shape[0]}, wide(h.dtype)};
  return {{.spec = row}, {.spec = row, .saved = true}};
}

Outputs backward_outputs(Specs in, const Desc&) {
  using B = LinearCrossEntropyBackward;
  require_head("linear_cross_entropy_backward", in[B::h], in[B::w], in[B::target]);
  const TensorSpec row = {in[B::target].shape, wide(in[B::h].dtype)};
  require(in[B::dnll] == row && in[B::lse] == row, "linear_cross_entropy_backward",
          "dnll {}, lse {}, not {}", in[B::dnll], in[B::lse], row);
  return {{.spec = in[B::h]}, {.spec = in[B::w]}};
}

double flops(Specs in, const Desc&) {
  using L = LinearCrossEntropy;
  return 2.0 * double(in[L::h].count()) * double(in[L::w].shape[0]);
}

double gradient_flops(const TensorSpec& h, const TensorSpec& w) {  // the logits, dh and dw
  return 6.0 * double(h.count()) * double(w.shape[0]);
}
double backward_flops(Specs in, const Desc&) {
  return gradient_flops(in[LinearCrossEntropyBackward::h], in[LinearCrossEntropyBackward::w]);
}
double loss_flops(Specs in, const Desc&) {
  return gradient_flops(in[LinearCrossEntropyLoss::h], in[LinearCrossEntropyLoss::w]);
}

Workspace workspace(Specs in, const Desc&) {
  using L = LinearCrossEntropy;
  const int64_t tokens = in[L::h].shape[0], vocabulary = in[L::w].shape[0];
  const int64_t segments = (vocabulary + Cut::kSegment - 1) / Cut::kSegment;
  return {.shared = size_t(tokens * (2 * segments + 1)) * sizeof(float),
          .per_thread = cpu::kMatmulWorkspace + size_t(Cut::kRows * Cut::kColumns) * sizeof(float)};
}

Workspace backward_workspace(Specs in, const Desc&) {
  using B = LinearCrossEntropyBackward;
  const int64_t rows = std::min(Cut::kBackwardRows, in[B::h].shape[0]);
  const int64_t columns = std::min(Cut::kBackwardColumns, in[B::w].shape[0]);
  const int64_t sums = in[B::h].dtype == DType::bf16 ? rows * in[B::h].shape[1] : 0;  // of dh
  return {.shared = size_t(rows * (columns + Cut::kPad)) * size_of(in[B::h].dtype) +
                    size_t(sums) * sizeof(float),
          .per_thread = cpu::kMatmulWorkspace + cpu::kMatmulTileBytes};
}

Outputs loss_outputs(Specs in, const Desc&) {
  using L = LinearCrossEntropyLoss;
  const TensorSpec& h = in[L::h];
  require_head("linear_cross_entropy_loss", h, in[L::w], in[L::target]);
  require(in[L::scale] == TensorSpec{{1}, wide(h.dtype)}, "linear_cross_entropy_loss", "scale {}",
          in[L::scale]);
  return {{.spec = {{h.shape[0]}, wide(h.dtype)}},
          {.spec = h, .saved = true},
          {.spec = in[L::w], .saved = true}};
}

Workspace loss_workspace(Specs in, const Desc&) {
  using L = LinearCrossEntropyLoss;
  const int64_t vocabulary = in[L::w].shape[0],
                columns = std::min(Cut::kBackwardColumns, vocabulary);
  const int64_t rows = Cut::loss_rows(in[L::h].shape[0], vocabulary);
  const int64_t sums = in[L::h].dtype == DType::bf16 ? rows * in[L::h].shape[1] : 0;  // of dh
  const int64_t floats = rows * (vocabulary + Cut::kPad + 1) + sums;  // logits, lse, dh
  return {.shared = size_t(floats) * sizeof(float) +
                    size_t(rows * (columns + Cut::kPad)) * size_of(in[L::h].dtype),
          .per_thread = cpu::kMatmulWorkspace};
}

void loss_gradient(Gradient& g) {
  using L = LinearCrossEntropyLoss;
  g.pass(g.out(L::dh), g.in(L::h));
}

void gradient(Gradient& g) {
  using L = LinearCrossEntropy;
  g.emit(kLinearCrossEntropyBackward,
         {g.dy(L::nll), g.in(L::h), g.in(L::w), g.in(L::target), g.out(L::lse)},
         {g.in(L::h), g.in(L::w)});
}

}  // namespace

const Operator kLinearCrossEntropy{
    .name = "linear_cross_entropy",
    .outputs = outputs,
    .flops = flops,
    .body = {cpu::linear_cross_entropy, reference::linear_cross_entropy},
    .gradient = gradient,
    .workspace = workspace,
};

const Operator kLinearCrossEntropyBackward{
    .name = "linear_cross_entropy_backward",
    .outputs = backward_outputs,
    .flops = backward_flops,
    .body = {cpu::linear_cross_entropy_backward, reference::linear_cross_entropy_backward},
    .workspace = backward_workspace,
};

const Operator kLinearCrossEntropyLoss{
    .name = "linear_cross_entropy_loss",
    .outputs = loss_outputs,
    .flops = loss_flops,
    .body = {cpu::linear_cross_entropy_loss, reference::linear_cross_entropy_loss},
    .gradient = loss_gradient,
    .workspace = loss_workspace,
};

}  // namespace birkhoff
