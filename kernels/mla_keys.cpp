#include "kernels/mla_keys.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

bool sound(const MlaKeys::Desc& d) {
  return d.heads > 0 && d.nope >= 0 && d.rope > 0 && d.value > 0;
}

Outputs outputs(Specs in, const Desc& desc) {
  const TensorSpec &kv = in[MlaKeys::kv], &k_rope = in[MlaKeys::k_rope];
  const auto& d = desc.as<MlaKeys::Desc>();
  require(kv.shape.size() == 2 && is_floating(kv.dtype) && sound(d) &&
              kv.shape[1] == d.heads * (d.nope + d.value) &&
              k_rope == TensorSpec{{kv.shape[0], d.rope}, kv.dtype},
          "mla_keys", "kv {}, k_rope {}, {}", kv, k_rope, desc);
  const int64_t tokens = kv.shape[0];
  return {{.spec = {{tokens, d.heads * (d.nope + d.rope)}, kv.dtype}},
          {.spec = {{tokens, d.heads * d.value}, kv.dtype}}};
}

Outputs backward_outputs(Specs in, const Desc& desc) {
  const TensorSpec &dk = in[MlaKeysBackward::dk], &dv = in[MlaKeysBackward::dv];
  const TensorSpec& given = dk.dtype == DType::none ? dv : dk;
  const auto& d = desc.as<MlaKeys::Desc>();
  const auto fits = [&](const TensorSpec& part, int64_t width) {
    return part.dtype == DType::none ||
           part == TensorSpec{{given.shape[0], d.heads * width}, given.dtype};
  };
  require(given.shape.size() == 2 && is_floating(given.dtype) && sound(d) &&
              fits(dk, d.nope + d.rope) && fits(dv, d.value),
          "mla_keys_backward", "dk {}, dv {}, {}", dk, dv, desc);
  const int64_t tokens = given.shape[0];
  return {{.spec = {{tokens, d.heads * (d.nope + d.value)}, given.dtype}},
          {.spec = {{tokens, d.rope}, given.dtype}}};
}

void gradient(Gradient& g) {
  g.emit(kMlaKeysBackward, {g.dy(MlaKeys::k), g.dy(MlaKeys::v)},
         {g.in(MlaKeys::kv), g.in(MlaKeys::k_rope)}, g.desc());
}

double backward_flops(Specs in, const Desc& desc) {
  const TensorSpec &dk = in[MlaKeysBackward::dk], &dv = in[MlaKeysBackward::dv];
  const auto& d = desc.as<MlaKeys::Desc>();
  return double((dk.dtype == DType::none ? dv : dk).shape[0] * d.heads * d.rope);
}

}  // namespace

constinit const Operator kMlaKeys{
    .name = "mla_keys",
    .outputs = outputs,
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {kCpuBody<cpu::mla_keys>, {}, kReferenceBody<reference::mla_keys>},
    .gradient = gradient,
};

constinit const Operator kMlaKeysBackward{
    .name = "mla_keys_backward",
    .outputs = backward_outputs,
    .flops = backward_flops,
    .implementations = {kCpuBody<cpu::mla_keys_backward>,
                        {},
                        kReferenceBody<reference::mla_keys_backward>},
};

}  // namespace birkhoff
