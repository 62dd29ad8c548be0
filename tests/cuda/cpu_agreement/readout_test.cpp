// The learned read-out and its backward.
#include "kernels/readout.h"
#include "kernels/cuda/readout.h"
#include "tests/cuda/cpu_agreement/projection.h"
#include "tests/cuda/cpu_agreement/rows.h"

namespace birkhoff::reference {
void readout(const Args& args);
}

namespace birkhoff::testing {
namespace {

struct Case {
  int64_t tokens, width;
  int n = 4;

  ReadoutDesc desc() const { return {.n = n, .weight_eps = 1e-3}; }
  int64_t wide() const { return n * width; }
  // Inputs in the order of Readout::In.
  Tensors inputs() const {
    return {random_tensor(bf16s({tokens, wide()}), "x"),
            random_tensor(f32s({wide(), n}), "w", 1.5 / std::sqrt(double(wide()))),
            random_tensor(f32s({1}), "scale", 0.3, 1), random_tensor(f32s({n}), "base")};
  }
};

const Case kCases[] = {{37, 72, 1}, {35, 40, 2}, {70, 72}, {9, 40, 8},
                       {3, 1280},   {2, 1920},   {3, 2560}};

// Results in the order of Readout::Out.
Tensors opened_on_device(const Case& c, const Tensors& in) {
  const OnDevice<bf16> x(in[Readout::x]), y(bf16s({c.tokens, c.width}));
  const OnDevice<float> w(in[Readout::w]), scale(in[Readout::scale]), base(in[Readout::base]),
      u(f32s({c.tokens, c.n})), rho(f32s({c.tokens}));
  cuda::readout({.x = x.data(),
                 .w = w.data(),
                 .scale = scale.data(),
                 .base = base.data(),
                 .y = y.data(),
                 .u = u.data(),
                 .rho = rho.data(),
                 .tokens = c.tokens,
                 .width = c.width,
                 .n = c.n,
                 .eps = 1e-20f,
                 .weight_eps = float(c.desc().weight_eps)},
                nullptr);
  return {y.tensor(), u.tensor(), rho.tensor()};
}

void check_forward(const Case& c) {
  SCOPED_TRACE(fmt::format("{}x{}x{}", c.tokens, c.n, c.width));
  const Tensors in = c.inputs(), device = opened_on_device(c, in),
                cpu = on_cpu(kReadout, in, c.desc());
  expect_projected({.rows = c.tokens,
                    .length = c.wide(),
                    .columns = c.n,
                    .weight = [&](int64_t e, int64_t k) { return e * c.n + k; },
                    .at = [&](int64_t t, int64_t k) { return t * c.n + k; },
                    .streams = c.n,
                    .width = c.width},
                   in[Readout::x], in[Readout::w], {device[Readout::u], device[Readout::rho]},
                   {cpu[Readout::u], cpu[Readout::rho]});
  Tensor apart = zeros(device[Readout::y].spec);
  const double scale = in[Readout::scale].at(0);
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t i = 0; i < c.n; ++i) {
      const double u = cpu[Readout::u].at(t * c.n + i),
                   moved = std::fabs(scale * (device[Readout::u].at(t * c.n + i) - u)),
                   logit = scale * u + in[Readout::base].at(i), s = sigmoid(logit);
      const double gate = s * (1 - s) * moved * (1 + moved) + 2 * gate_error(logit) * s;
      for (int64_t e = 0; e < c.width; ++e)  // n products and sums on each side
        add_to(apart, t * c.width + e,
               (gate + c.n * kUnit * (s + c.desc().weight_eps)) *
                   std::fabs(in[Readout::x].at(t * c.wide() + i * c.width + e)));
    }
  expect_apart(device[Readout::y], cpu[Readout::y], apart, "y");
}

TEST(CpuAgreement, Readout) {
  for (const Case& c : kCases) once(c.width, [&] { check_forward(c); });
}

using B = ReadoutBackward;

// Inputs in the order of ReadoutBackward::In.
Tensors backward_inputs(const Case& c) {
  const Tensors in = c.inputs();
  const Tensors out = reference_of(reference::readout, in,
                                   {{c.tokens, c.width}, {c.tokens, c.n}, {c.tokens}}, c.desc());
  return {random_tensor(bf16s({c.tokens, c.width}), "dy"),
          in[Readout::x],
          in[Readout::w],
          in[Readout::scale],
          in[Readout::base],
          out[Readout::u].as(DType::f32),
          out[Readout::rho].as(DType::f32)};
}

// Results in the order of ReadoutBackward::Out.
Tensors backward_on_device(const Case& c, const Tensors& in) {
  const auto cut = cuda::readout_backward_cut(c.tokens, c.width, c.n);
  const OnDevice<bf16> dy(in[B::dy]), x(in[B::x]), dx(in[B::x].spec);
  const OnDevice<float> w(in[B::w]), scale(in[B::scale]), base(in[B::base]), u(in[B::u]),
      rho(in[B::rho]), dw(in[B::w].spec), dscale(in[B::scale].spec), dbase(in[B::base].spec);
  const DeviceArray<float> workspace(size_t(cut.workspace));
  cuda::ReadoutBackwardArgs args;
  args.dy = dy.data(), args.x = x.data(), args.w = w.data(), args.scale = scale.data();
  args.base = base.data(), args.u = u.data(), args.rho = rho.data(), args.dx = dx.data();
  args.dw = dw.data(), args.dscale = dscale.data(), args.dbase = dbase.data();
  args.workspace = workspace.data(), args.tokens = c.tokens, args.width = c.width, args.n = c.n;
  args.weight_eps = float(c.desc().weight_eps);
  cuda::readout_backward(args, nullptr);
  return {dx.tensor(), dw.tensor(), dscale.tensor(), dbase.tensor()};
}

Coefficients coefficients(const Case& c, const Tensors& in, const Arithmetic& how, int64_t t) {
  const double scale = in[B::scale].at(0), rho = in[B::rho].at(t);
  Coefficients of;
  Uncertain pull;
  for (int64_t i = 0; i < c.n; ++i) {
    const double u = in[B::u].at(t * c.n + i), logit = scale * u + in[B::base].at(i);
    const double s = sigmoid(logit), slope = s * (1 - s);
    const Uncertain g = dot_of(how, in[B::dy], t, in[B::x], t * c.n + i, c.width);
    // When 1 − σ is near 0, it is off by a rounding of the 1.
    const Uncertain d{g.value * slope,
                      g.error * slope + std::fabs(g.value) * s * (gate_error(logit) + 4 * kUnit)};
    of.pre.push_back({s + c.desc().weight_eps, (gate_error(logit) + kUnit) * s});
    of.d.push_back(d), of.along.push_back({u, 0});
    const double du = scale * d.value, error = std::fabs(scale) * d.error;
    of.dz.push_back({rho * du, rho * (error + 2 * kUnit * std::fabs(du))});
    const double factor = rho * rho / double(c.wide());
    pull.value -= factor * du * u;
    pull.error += factor * std::fabs(u) * (error + double(c.n + 6) * kHalf * std::fabs(du));
  }
  of.pull.assign(size_t(c.n), pull);
  const std::vector<Uncertain> one = of.dz;
  for (int64_t j = 1; j < c.n; ++j) of.dz.insert(of.dz.end(), one.begin(), one.end());
  return of;
}

void check_backward(const Case& c) {
  SCOPED_TRACE(fmt::format("{}x{}x{}", c.tokens, c.n, c.width));
  const Tensors in = backward_inputs(c), device = backward_on_device(c, in),
                cpu = on_cpu(kReadoutBackward, in, c.desc());
  const Rows rows{.tokens = c.tokens,
                  .width = c.width,
                  .n = c.n,
                  .x = &in[B::x],
                  .dh = &in[B::dy],
                  .dlink = nullptr,
                  .w = &in[B::w],
                  .columns = c.n,
                  .shared_weight = false,
                  .alpha = &in[B::scale],
                  .group = [](int64_t) { return 0; }};
  RowsApart apart(rows, c.n);
  for (const Arithmetic& how : {device_arithmetic(c.width), cpu_arithmetic(c.width, false)})
    for (int64_t t = 0; t < c.tokens; ++t) apart.add(rows, how, coefficients(c, in, how, t), t);
  expect_apart(device[B::dx], cpu[B::dx], apart.dx, "dx");
  expect_apart(device[B::dw], cpu[B::dw], apart.dw, "dw");
  expect_apart(device[B::dscale], cpu[B::dscale], apart.dalpha, "dscale");
  expect_apart(device[B::dbase], cpu[B::dbase], apart.db, "dbase");
}

TEST(CpuAgreement, ReadoutBackward) {
  for (const Case& c : kCases) once(c.width, [&] { check_backward(c); });
}

}  // namespace
}  // namespace birkhoff::testing
