#include "kernels/norm.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

TensorSpec acc_spec() { return {{kNormLimbs}, DType::i64}; }

Outputs squared_sum_outputs(Specs in, const Desc&) {
  const DType t = in[SquaredSum::g].dtype;
  require(t == DType::f32 || t == DType::f64, "squared_sum", "g {}", in[SquaredSum::g]);
  return {{.spec = acc_spec()}};
}

Outputs clip_scale_outputs(Specs in, const Desc& desc) {
  require(in[ClipScale::acc] == acc_spec(), "clip_scale", "acc {}", in[ClipScale::acc]);
  require(desc.as<ClipScale::Desc>().max_norm >= 0, "clip_scale", "max_norm {}",
          desc.as<ClipScale::Desc>().max_norm);
  return {{.spec = {{1}, DType::f32}}, {.spec = {{1}, DType::f64}}};
}

}  // namespace

constinit const Operator kSquaredSum{
    .name = "squared_sum",
    .outputs = squared_sum_outputs,
    .flops = [](Specs in, const Desc&) { return 2.0 * double(in[SquaredSum::g].count()); },
    .implementations = {cpu::squared_sum, {}, kReferenceBody<reference::squared_sum>},
};

constinit const Operator kClipScale{
    .name = "clip_scale",
    .outputs = clip_scale_outputs,
    .flops = [](Specs, const Desc&) { return 2.0 * kNormLimbs; },
    .implementations = {kCpuBody<cpu::clip_scale>, {}, kReferenceBody<reference::clip_scale>},
};

}  // namespace birkhoff
