#include "kernels/readout.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

void require_inputs(std::string_view name, const TensorSpec& x, const TensorSpec& w,
                    const TensorSpec& scale, const TensorSpec& base, const ReadoutDesc& desc) {
  const int64_t n = desc.n;
  const DType coefficients = wide(x.dtype);
  require(n >= 1 && x.shape.size() == 2 && is_floating(x.dtype) && x.shape[1] > 0 &&
              x.shape[1] % n == 0,
          name, "x {} is no [tokens, n·C] of n = {} streams", x, n);
  require(w == TensorSpec{{x.shape[1], n}, coefficients} &&
              scale == TensorSpec{{1}, coefficients} && base == TensorSpec{{n}, coefficients},
          name, "x {}, w {}, scale {}, base {}, n {}", x, w, scale, base, n);
  require(desc.eps >= 0 && desc.weight_eps >= 0, name, "eps {}, weight_eps {}", desc.eps,
          desc.weight_eps);
}

Outputs outputs(Specs in, const Desc& d) {
  using R = Readout;
  const ReadoutDesc& desc = d.as<ReadoutDesc>();
  const TensorSpec& x = in[R::x];
  require_inputs("readout", x, in[R::w], in[R::scale], in[R::base], desc);
  const DType coefficients = wide(x.dtype);
  return {{.spec = {{x.shape[0], x.shape[1] / desc.n}, x.dtype}},
          {.spec = {{x.shape[0], desc.n}, coefficients}, .saved = true},
          {.spec = {{x.shape[0]}, coefficients}, .saved = true}};
}

Outputs backward_outputs(Specs in, const Desc& d) {
  using B = ReadoutBackward;
  const ReadoutDesc& desc = d.as<ReadoutDesc>();
  const TensorSpec& x = in[B::x];
  require_inputs("readout_backward", x, in[B::w], in[B::scale], in[B::base], desc);
  const DType coefficients = wide(x.dtype);
  require(in[B::dy] == TensorSpec{{x.shape[0], x.shape[1] / desc.n}, x.dtype} &&
              in[B::u] == TensorSpec{{x.shape[0], desc.n}, coefficients} &&
              in[B::rho] == TensorSpec{{x.shape[0]}, coefficients},
          "readout_backward", "x {}, dy {}, u {}, rho {}", x, in[B::dy], in[B::u], in[B::rho]);
  return {{.spec = x}, {.spec = in[B::w]}, {.spec = in[B::scale]}, {.spec = in[B::base]}};
}

void gradient(Gradient& g) {
  using R = Readout;
  g.emit(
      kReadoutBackward,
      {g.dy(), g.in(R::x), g.in(R::w), g.in(R::scale), g.in(R::base), g.out(R::u), g.out(R::rho)},
      {g.in(R::x), g.in(R::w), g.in(R::scale), g.in(R::base)}, g.desc());
}

}  // namespace

constinit const Operator kReadout{
    .name = "readout",
    .outputs = outputs,
    .flops =
        [](Specs in, const Desc& d) {  // projection; Σv²; y
          return (2.0 * d.as<ReadoutDesc>().n + 4) * double(in[Readout::x].count());
        },
    .implementations = {cpu::readout, {}, kReferenceBody<reference::readout>},
    .gradient = gradient,
};

constinit const Operator kReadoutBackward{
    .name = "readout_backward",
    .outputs = backward_outputs,
    .flops =
        [](Specs in, const Desc& d) {  // dz·wᵀ, vᵀ·dz; dp, p·dy, v·ds
          return (4.0 * d.as<ReadoutDesc>().n + 6) * double(in[ReadoutBackward::x].count());
        },
    .implementations = {cpu::readout_backward, {}, kReferenceBody<reference::readout_backward>},
};

}  // namespace birkhoff
