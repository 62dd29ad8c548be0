#include "kernels/adamw.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

Outputs outputs(Specs in, const Desc& desc) {
  const TensorSpec &g = in[AdamW::g], &hyper = in[AdamW::hyper], &scale = in[AdamW::scale];
  const auto fits = [&](DType t) { return t == DType::f32 || t == g.dtype; };
  require((g.dtype == DType::f32 || g.dtype == DType::f64) && hyper.shape == Shape{4} &&
              fits(hyper.dtype) && scale.shape == Shape{1} && fits(scale.dtype),
          "adamw", "g {}, hyper {}, scale {}", g, hyper, scale);
  const auto& d = desc.as<AdamW::Desc>();
  require(d.beta1 >= 0 && d.beta1 < 1 && d.beta2 >= 0 && d.beta2 < 1 && d.eps >= 0 &&
              d.weight_decay >= 0,
          "adamw", "{}", desc.text());
  return {{.spec = g}, {.spec = g}, {.spec = g}};
}

}  // namespace

constinit const Operator kAdamW{
    .name = "adamw",
    .outputs = outputs,
    .flops = [](Specs in, const Desc&) { return 16.0 * double(in[AdamW::g].count()); },
    .implementations = {kCpuBody<cpu::adamw>, {}, kReferenceBody<reference::adamw>},
    // p, m and v are read and written.
    .bytes = [](Specs in, const Desc&) { return 7.0 * double(in[AdamW::g].bytes()); },
    .updates = true,
};

}  // namespace birkhoff
