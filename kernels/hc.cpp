#include "kernels/hc.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

bool absent(const TensorSpec& given) { return given.dtype == DType::none; }
bool absent_or(const TensorSpec& given, const TensorSpec& spec) {
  return absent(given) || given == spec;
}
bool dynamic(Specs in) { return !absent(in[HcOpen::theta]); }

void require_open(std::string_view name, Specs in, const HcDesc& desc) {
  const TensorSpec &x = in[HcOpen::x], &theta = in[HcOpen::theta], &alpha = in[HcOpen::alpha];
  const int64_t n = desc.n;
  require(n >= 1 && x.shape.size() == 2 && is_floating(x.dtype) && x.shape[1] > 0 &&
              x.shape[1] % n == 0,
          name, "x {} is no [tokens, n·C] of n = {} streams", x, n);
  const DType coefficients = wide(x.dtype);
  require(absent_or(theta, {{n + 2, x.shape[1] / n}, coefficients}) &&
              absent_or(alpha, {{3}, coefficients}) && absent(alpha) == absent(theta) &&
              in[HcOpen::b] == TensorSpec{{desc.columns()}, coefficients},
          name, "x {}, theta {}, alpha {}, b {}, n {}", x, theta, alpha, in[HcOpen::b], n);
  require(desc.eps >= 0, name, "eps {}", desc.eps);
}

Outputs open_outputs(Specs in, const Desc& d) {
  const HcDesc& desc = d.as<HcDesc>();
  require_open("hc_open", in, desc);
  const TensorSpec& x = in[HcOpen::x];
  const int64_t tokens = x.shape[0], n = desc.n;
  const DType coefficients = wide(x.dtype);
  Outputs out = {{.spec = {{tokens, x.shape[1] / n}, x.dtype}},
                 {.spec = x, .view_of = HcOpen::x, .private_link = true},
                 {.spec = {{tokens, n}, coefficients}},
                 {.spec = {{tokens, n * n}, coefficients}}};
  if (dynamic(in)) {
    out.push_back({.spec = {{tokens, desc.columns()}, coefficients}, .saved = true});
    out.push_back({.spec = {{tokens, n}, coefficients}, .saved = true});
  }
  return out;
}

Outputs open_backward_outputs(Specs in, const Desc& d) {
  using B = HcOpenBackward;
  const std::string_view name = "hc_open_backward";
  require_open(name, in, d.as<HcDesc>());  // starts with the same four inputs
  const auto forward = open_outputs(in.first(4), d);
  require(dynamic(in)
              ? in[B::u] == forward[HcOpen::u].spec && in[B::rstd] == forward[HcOpen::rstd].spec
              : absent(in[B::u]) && absent(in[B::rstd]),
          name, "theta {}, u {}, rstd {}", in[B::theta], in[B::u], in[B::rstd]);
  require(absent_or(in[B::dh], forward[HcOpen::h].spec) && absent_or(in[B::dlink], in[B::x]) &&
              absent_or(in[B::dpost], forward[HcOpen::post].spec) &&
              absent_or(in[B::dres], forward[HcOpen::res].spec),
          name, "x {}, dh {}, dlink {}, dpost {}, dres {}", in[B::x], in[B::dh], in[B::dlink],
          in[B::dpost], in[B::dres]);
  Outputs out = {{.spec = in[B::x]}, {.spec = in[B::b]}};
  if (dynamic(in)) {
    out.push_back({.spec = in[B::theta]});
    out.push_back({.spec = in[B::alpha]});
  }
  return out;
}

void open_gradient(Gradient& g) {
  using O = HcOpen;
  const SlotId x = g.in(O::x), theta = g.in(O::theta), alpha = g.in(O::alpha), b = g.in(O::b);
  if (theta == kNone)
    return g.emit(
        kHcOpenBackward,
        {x, kNone, kNone, b, kNone, kNone, g.dy(O::h), g.dy(O::link), g.dy(O::post), g.dy(O::res)},
        {x, b}, g.desc());
  g.emit(kHcOpenBackward,
         {x, theta, alpha, b, g.out(O::u), g.out(O::rstd), g.dy(O::h), g.dy(O::link), g.dy(O::post),
          g.dy(O::res)},
         {x, b, theta, alpha}, g.desc());
}

}  // namespace

constinit const Operator kHcOpen{
    .name = "hc_open",
    .outputs = open_outputs,
    .flops =
        [](Specs in, const Desc& d) {  // h; projection, Σx²
          const double projection = dynamic(in) ? 2.0 * d.as<HcDesc>().n + 6 : 0;
          return (projection + 2) * double(in[HcOpen::x].count());
        },
    .implementations = {cpu::hc_open, {}, kReferenceBody<reference::hc_open>},
    .gradient = open_gradient,
};

constinit const Operator kHcOpenBackward{
    .name = "hc_open_backward",
    .outputs = open_backward_outputs,
    .flops =
        [](Specs in, const Desc& d) {  // resᵀ·dlink, dres; dpre, pre·dh; dz·theta, dtheta, pull·x
          const double n = d.as<HcDesc>().n, projection = dynamic(in) ? 4 * (n + 2) + 2 : 0;
          return (4 * n + 4 + projection) * double(in[HcOpen::x].count());
        },
    .implementations = {cpu::hc_open_backward, {}, kReferenceBody<reference::hc_open_backward>},
};

}  // namespace birkhoff
