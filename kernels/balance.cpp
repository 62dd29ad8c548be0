#include "kernels/balance.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

Outputs outputs(Specs in, const Desc& desc) {
  const TensorSpec &load = in[BalanceUpdate::load], &scale = in[BalanceUpdate::scale];
  require(load.shape.size() == 1 && load.dtype == DType::i32 && scale.shape == Shape{1} &&
              is_floating(scale.dtype),
          "balance_update", "load {}, scale {}", load, scale);
  require(desc.as<BalanceUpdate::Desc>().speed >= 0, "balance_update", "speed {}",
          desc.as<BalanceUpdate::Desc>().speed);
  return {{.spec = {load.shape, DType::f32}}};
}

}  // namespace

constinit const Operator kBalanceUpdate{
    .name = "balance_update",
    .outputs = outputs,
    .flops = [](Specs in, const Desc&) { return 3.0 * double(in[BalanceUpdate::load].count()); },
    .implementations = {kCpuBody<cpu::balance_update>,
                        {},
                        kReferenceBody<reference::balance_update>},
    .updates = true,
};

}  // namespace birkhoff
