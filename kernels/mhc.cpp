#include "kernels/mhc.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/slabs.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

bool absent_or(const TensorSpec& given, const TensorSpec& spec) {
  return given.dtype == DType::none || given == spec;
}

// Requires x [T, n·C] of a floating-point dtype.
void require_streams(std::string_view name, const TensorSpec& x, int64_t n) {
  require(n >= 1 && x.shape.size() == 2 && is_floating(x.dtype) && x.shape[1] > 0 &&
              x.shape[1] % n == 0,
          name, "x {} is no [tokens, n·C] of n = {} streams", x, n);
}

void require_open(std::string_view name, Specs in, const MhcDesc& desc) {
  const TensorSpec& x = in[MhcOpen::x];
  require_streams(name, x, desc.n);
  const DType coefficients = wide(x.dtype);
  const int64_t columns = desc.columns();
  require(in[MhcOpen::phi] == TensorSpec{{x.shape[1], columns}, coefficients} &&
              in[MhcOpen::alpha] == TensorSpec{{3}, coefficients} &&
              in[MhcOpen::b] == TensorSpec{{columns}, coefficients},
          name, "x {}, phi {}, alpha {}, b {}, n {}", x, in[MhcOpen::phi], in[MhcOpen::alpha],
          in[MhcOpen::b], desc.n);
  require(desc.iterations >= 1 && desc.eps >= 0 && desc.sinkhorn_eps >= 0, name,
          "eps {}, iterations {}, sinkhorn_eps {}", desc.eps, desc.iterations, desc.sinkhorn_eps);
}

Outputs open_outputs(Specs in, const Desc& d) {
  const MhcDesc& desc = d.as<MhcDesc>();
  require_open("mhc_open", in, desc);
  const TensorSpec& x = in[MhcOpen::x];
  const int64_t tokens = x.shape[0], n = desc.n;
  const DType coefficients = wide(x.dtype);
  return {{.spec = {{tokens, x.shape[1] / n}, x.dtype}},
          {.spec = x, .view_of = MhcOpen::x, .private_link = true},
          {.spec = {{tokens, n}, coefficients}},
          {.spec = {{tokens, n * n}, coefficients}},
          {.spec = {{tokens, desc.columns()}, coefficients}, .saved = true},
          {.spec = {{tokens}, coefficients}, .saved = true}};
}

Outputs open_backward_outputs(Specs in, const Desc& d) {
  using B = MhcOpenBackward;
  const MhcDesc& desc = d.as<MhcDesc>();
  require_open("mhc_open_backward", in, desc);  // starts with the same four inputs
  const auto forward = open_outputs(in.first(4), d);
  const std::string_view name = "mhc_open_backward";
  require(in[B::u] == forward[MhcOpen::u].spec && in[B::rho] == forward[MhcOpen::rho].spec, name,
          "u {}, rho {}", in[B::u], in[B::rho]);
  require(absent_or(in[B::dh], forward[MhcOpen::h].spec) && absent_or(in[B::dlink], in[B::x]) &&
              absent_or(in[B::dpost], forward[MhcOpen::post].spec) &&
              absent_or(in[B::dres], forward[MhcOpen::res].spec),
          name, "x {}, dh {}, dlink {}, dpost {}, dres {}", in[B::x], in[B::dh], in[B::dlink],
          in[B::dpost], in[B::dres]);
  return {{.spec = in[B::x]}, {.spec = in[B::phi]}, {.spec = in[B::alpha]}, {.spec = in[B::b]}};
}

// Each input and output once, and the partial sums of dphi written and read. These are not
// negligible, since each of them is as large as phi.
double open_backward_bytes(Specs in, const Desc& d) {
  double bytes = 0;
  for (const TensorSpec& spec : in) bytes += double(spec.bytes());
  for (const Output& out : open_backward_outputs(in, d)) bytes += double(out.spec.bytes());
  return bytes + 2.0 * double(slabs(in[MhcOpen::x].shape[0])) * double(in[MhcOpen::phi].bytes());
}

void open_gradient(Gradient& g) {
  using O = MhcOpen;
  g.emit(kMhcOpenBackward,
         {g.in(O::x), g.in(O::phi), g.in(O::alpha), g.in(O::b), g.out(O::u), g.out(O::rho),
          g.dy(O::h), g.dy(O::link), g.dy(O::post), g.dy(O::res)},
         {g.in(O::x), g.in(O::phi), g.in(O::alpha), g.in(O::b)}, g.desc());
}

// Requires that the specs of the residual streams (link or dy), f and post fit together.
void require_close(std::string_view name, const TensorSpec& streams, const TensorSpec& f,
                   const TensorSpec& post, int64_t n) {
  require_streams(name, streams, n);
  const int64_t tokens = streams.shape[0];
  require(f == TensorSpec{{tokens, streams.shape[1] / n}, streams.dtype} &&
              post == TensorSpec{{tokens, n}, wide(streams.dtype)},
          name, "streams {}, f {}, post {}, n {}", streams, f, post, n);
}

Outputs close_outputs(Specs in, const Desc& d) {
  using C = MhcClose;
  const int64_t n = d.as<StreamsDesc>().n;
  require_close("mhc_close", in[C::link], in[C::f], in[C::post], n);
  require(in[C::res] == TensorSpec{{in[C::link].shape[0], n * n}, in[C::post].dtype}, "mhc_close",
          "res {}, n {}", in[C::res], n);
  return {{.spec = in[C::link]}};
}

Outputs close_backward_outputs(Specs in, const Desc& d) {
  using C = MhcCloseBackward;
  require_close("mhc_close_backward", in[C::dy], in[C::f], in[C::post], d.as<StreamsDesc>().n);
  return {{.spec = in[C::f]}, {.spec = in[C::post]}};
}

void close_gradient(Gradient& g) {
  using C = MhcClose;
  g.emit(kMhcCloseBackward, {g.dy(), g.in(C::f), g.in(C::post)}, {g.in(C::f), g.in(C::post)},
         g.desc());
  g.pass(g.dy(), g.in(C::link));  // Stands for the gradient of res too, see kernels/mhc.h.
}

}  // namespace

constinit const Operator kMhcOpen{
    .name = "mhc_open",
    .outputs = open_outputs,
    .flops =
        [](Specs in, const Desc& d) {  // projection; Σv²; h
          return (2.0 * double(d.as<MhcDesc>().columns()) + 4) * double(in[MhcOpen::x].count());
        },
    .implementations = {cpu::mhc_open, {}, kReferenceBody<reference::mhc_open>},
    .gradient = open_gradient,
};

constinit const Operator kMhcOpenBackward{
    .name = "mhc_open_backward",
    .outputs = open_backward_outputs,
    .flops =
        [](Specs in, const Desc& d) {  // dz·phiᵀ, vᵀ·dz; resᵀ·dlink, dres; dpre, pre·dh, v·ds
          const MhcDesc& desc = d.as<MhcDesc>();
          return (4.0 * double(desc.columns()) + 4 * desc.n + 6) * double(in[MhcOpen::x].count());
        },
    .implementations = {cpu::mhc_open_backward, {}, kReferenceBody<reference::mhc_open_backward>},
    .bytes = open_backward_bytes,
};

constinit const Operator kMhcClose{
    .name = "mhc_close",
    .outputs = close_outputs,
    .flops =
        [](Specs in, const Desc& d) {
          return (2.0 * d.as<StreamsDesc>().n + 2) * double(in[MhcClose::link].count());
        },
    .implementations = {cpu::mhc_close, {}, kReferenceBody<reference::mhc_close>},
    .gradient = close_gradient,
};

constinit const Operator kMhcCloseBackward{
    .name = "mhc_close_backward",
    .outputs = close_backward_outputs,
    .flops = [](Specs in, const Desc&) { return 4.0 * double(in[MhcCloseBackward::dy].count()); },
    .implementations = {cpu::mhc_close_backward, {}, kReferenceBody<reference::mhc_close_backward>},
};

}  // namespace birkhoff
