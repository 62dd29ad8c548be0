#include "kernels/linear_cross_entropy.h"

#include <algorithm>

#include "kernels/bodies.h"
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
  return {{.spec = {{h.shape[0]}, wide(h.dtype)}}};
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

double logits_flops(Specs in) {
  using L = LinearCrossEntropy;
  return 2.0 * double(in[L::h].count()) * double(in[L::w].shape[0]);
}

void loss_gradient(Gradient& g) {
  using L = LinearCrossEntropyLoss;
  g.pass(g.out(L::dh), g.in(L::h));
}

}  // namespace

constinit const Operator kLinearCrossEntropy{
    .name = "linear_cross_entropy",
    .outputs = outputs,
    .flops = [](Specs in, const Desc&) { return logits_flops(in); },
    .implementations = {cpu::linear_cross_entropy,
                        {},
                        kReferenceBody<reference::linear_cross_entropy>},
};

constinit const Operator kLinearCrossEntropyLoss{
    .name = "linear_cross_entropy_loss",
    .outputs = loss_outputs,
    .flops = [](Specs in, const Desc&) { return 3 * logits_flops(in); },  // Logits, dh and dw.
    .implementations = {cpu::linear_cross_entropy_loss,
                        {},
                        kReferenceBody<reference::linear_cross_entropy_loss>},
    .gradient = loss_gradient,
};

}  // namespace birkhoff
