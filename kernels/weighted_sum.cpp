#include "kernels/weighted_sum.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

bool is_real(DType t) { return t == DType::f32 || t == DType::f64; }

TensorSpec sum_spec() { return {{1}, DType::f64}; }

void require_terms(const char* name, const TensorSpec& value, const TensorSpec& scale) {
  require(value.shape.size() == 1 && is_real(value.dtype) && scale.shape == Shape{1} &&
              is_real(scale.dtype),
          name, "value {}, scale {}", value, scale);
}

Outputs outputs(Specs in, const Desc&) {
  require_terms("weighted_sum", in[WeightedSum::value], in[WeightedSum::scale]);
  return {{.spec = sum_spec()}};
}

Outputs backward_outputs(Specs in, const Desc&) {
  using B = BroadcastScale;
  require_terms("broadcast_scale", in[B::value], in[B::scale]);
  require(in[B::dy] == sum_spec(), "broadcast_scale", "dy {}", in[B::dy]);
  return {{.spec = in[B::value]}};
}

void gradient(Gradient& g) {
  g.emit(kBroadcastScale, {g.dy(), g.in(WeightedSum::scale), g.in(WeightedSum::value)},
         {g.in(WeightedSum::value)});
}

}  // namespace

constinit const Operator kWeightedSum{
    .name = "weighted_sum",
    .outputs = outputs,
    .flops = [](Specs in, const Desc&) { return double(in[WeightedSum::value].count()); },
    .implementations = {kCpuBody<cpu::weighted_sum>, {}, kReferenceBody<reference::weighted_sum>},
    .gradient = gradient,
};

constinit const Operator kBroadcastScale{
    .name = "broadcast_scale",
    .outputs = backward_outputs,
    .flops = [](Specs, const Desc&) { return 1.0; },
    .implementations = {kCpuBody<cpu::broadcast_scale>,
                        {},
                        kReferenceBody<reference::broadcast_scale>},
    .bytes = [](Specs in, const Desc&) { return double(in[BroadcastScale::value].bytes()); },
};

}  // namespace birkhoff
