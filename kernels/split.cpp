#include "kernels/split.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

Outputs split_outputs(Specs in, const Desc& desc) {
  const TensorSpec& x = in[Split::x];
  const auto& d = desc.as<Split::Desc>();
  require(x.shape.size() == 2 && is_floating(x.dtype) && d.first > 0 && d.second > 0 &&
              x.shape[1] == d.first + d.second,
          "split", "x {} into {} and {}", x, d.first, d.second);
  return {{.spec = {{x.shape[0], d.first}, x.dtype}}, {.spec = {{x.shape[0], d.second}, x.dtype}}};
}

Outputs concat_outputs(Specs in, const Desc& desc) {
  const TensorSpec &a = in[Concat::a], &b = in[Concat::b];
  const TensorSpec& given = a.dtype == DType::none ? b : a;
  const auto& d = desc.as<Concat::Desc>();
  const auto fits = [&](const TensorSpec& part, int64_t width) {
    return part.dtype == DType::none || part == TensorSpec{{given.shape[0], width}, given.dtype};
  };
  require(given.shape.size() == 2 && is_floating(given.dtype) && d.first > 0 && d.second > 0 &&
              fits(a, d.first) && fits(b, d.second),
          "concat", "a {} of width {}, b {} of width {}", a, d.first, b, d.second);
  return {{.spec = {{given.shape[0], d.first + d.second}, given.dtype}}};
}

void split_gradient(Gradient& g) {
  g.emit(kConcat, {g.dy(Split::a), g.dy(Split::b)}, {g.in(Split::x)}, g.desc());
}

void concat_gradient(Gradient& g) {
  g.emit(kSplit, {g.dy()}, {g.in(Concat::a), g.in(Concat::b)}, g.desc());
}

double no_flops(Specs, const Desc&) { return 0; }

}  // namespace

constinit const Operator kSplit{
    .name = "split",
    .outputs = split_outputs,
    .flops = no_flops,
    .implementations = {kCpuBody<cpu::split>, {}, kReferenceBody<reference::split>},
    .gradient = split_gradient,
};

constinit const Operator kConcat{
    .name = "concat",
    .outputs = concat_outputs,
    .flops = no_flops,
    .implementations = {kCpuBody<cpu::concat>, {}, kReferenceBody<reference::concat>},
    .gradient = concat_gradient,
};

}  // namespace birkhoff
