// HC, tested like mHC (mhc_test.cpp), with a norm and a projection for each stream, and tanh.
#include "kernels/cuda/hc_backward.h"
#include "tests/cuda/cpu_agreement/projection.h"
#include "tests/cuda/cpu_agreement/rows.h"
#include "tests/cuda/hc_case.h"

namespace birkhoff::reference {
void hc_open(const Args& args);
}

namespace birkhoff::testing {
namespace {

constexpr double kTanh = 4 * kUnit;  // error of the CPU's tanh; the device's is accurate to 2 ulp

Projected projected(const HcCase& c) {
  return {.rows = c.tokens * c.n,
          .length = c.width,
          .columns = c.n + 2,
          .weight = [width = c.width](int64_t e, int64_t r) { return r * width + e; },
          .at =
              [n = c.n](int64_t row, int64_t r) {
                return (row / n * (n + 2) + r) * n + row % n;  // token row / n
              },
          .width = c.width};
}

// How far H~ of both may be apart, given their u.
double logit_apart(const HcCase& c, const Tensor& u, const Tensor& cpu_u, int64_t t, int64_t k) {
  const int64_t at = t * c.columns() + k;
  const double b = c.b().at(k);
  if (!c.dynamic) return 0;
  const double alpha = std::fabs(c.alpha().at(c.desc().group(k))), th = std::tanh(cpu_u.at(at));
  const double moved = std::fabs(u.at(at) - cpu_u.at(at));
  return alpha * ((1 - th * th) * moved + moved * moved + 2 * kTanh) +
         kUnit * (alpha + std::fabs(b));
}

void expect_coefficients(const HcOpenRun& run, const Tensors& cpu) {
  const HcCase& c = run.c;
  const Tensor x = c.x(), u = run.u.tensor(), cpu_u = c.dynamic ? cpu[HcOpen::u] : Tensor();
  const Tensor alpha = c.alpha(), b = c.b();
  Tensor post = zeros(f32s({c.tokens, c.n})), res = zeros(f32s({c.tokens, c.n * c.n})),
         h = zeros(bf16s({c.tokens, c.width}));
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t k = 0; k < c.columns(); ++k) {
      const double apart = logit_apart(c, u, cpu_u, t, k);
      if (k >= 2 * c.n) res.set(t * c.n * c.n + k - 2 * c.n, apart);
      if (k >= c.n && k < 2 * c.n) post.set(t * c.n + k - c.n, apart);
      if (k >= c.n) continue;
      const double most = std::fabs(b.at(k)) + (c.dynamic ? std::fabs(alpha.at(0)) : 0);
      for (int64_t e = 0; e < c.width; ++e)  // n products and sums on each side
        add_to(h, t * c.width + e,
               (apart + c.n * kUnit * most) * std::fabs(x.at((t * c.n + k) * c.width + e)));
    }
  expect_apart(run.post.tensor(), cpu[HcOpen::post], post, "post");
  expect_apart(run.res.tensor(), cpu[HcOpen::res], res, "res");
  expect_apart(run.h.tensor(), cpu[HcOpen::h], h, "h");
}

void expect_open(const HcCase& c) {
  SCOPED_TRACE(c.name());
  const HcOpenRun run(c);
  cuda::hc_open(run.args, nullptr);
  const Tensors cpu = on_cpu(kHcOpen, {c.x(), c.theta(), c.alpha(), c.b()}, c.desc());
  if (c.dynamic)
    expect_projected(projected(c), c.x(), c.theta(), {run.u.tensor(), run.stream_rstd.tensor()},
                     {cpu[HcOpen::u], cpu[HcOpen::rstd]});
  expect_coefficients(run, cpu);
  expect_normed(run.y.tensor(), run.rstd.tensor(),
                on_cpu(kRmsNorm, {run.h.tensor(), c.gain()}, RmsNorm::Desc{.eps = 1e-20}),
                relative_of_rms(c.width));
}

const HcCase kCases[] = {
    {.tokens = 37, .width = 72, .n = 1},
    {.tokens = 19, .width = 40, .n = 2, .eps = 1e-2},
    {.tokens = 70, .width = 72},
    {.tokens = 9, .width = 40, .n = 8},
    {.tokens = 18, .width = 40, .dynamic = false},
    {.tokens = 3, .width = 1280},
    {.tokens = 2, .width = 1920},
    {.tokens = 3, .width = 2560},
};

TEST(CpuAgreement, HcOpen) {
  for (const HcCase& c : kCases) once(c.width, [&] { expect_open(c); });
}

struct Inputs {
  Tensor x, theta, alpha, b, u, rstd, dh, dlink, dpost;
};

Inputs inputs_of(const HcCase& c) {
  const Tensors opened = reference_of(reference::hc_open, {c.x(), c.theta(), c.alpha(), c.b()},
                                      {{c.tokens, c.width},
                                       {c.tokens, c.n * c.width},
                                       {c.tokens, c.n},
                                       {c.tokens, c.n * c.n},
                                       {c.tokens, c.columns()},
                                       {c.tokens, c.n}},
                                      c.desc());
  return {c.x(),
          c.theta(),
          c.alpha(),
          c.b(),
          c.dynamic ? opened[HcOpen::u].as(DType::f32) : Tensor(),
          c.dynamic ? opened[HcOpen::rstd].as(DType::f32) : Tensor(),
          random_tensor(bf16s({c.tokens, c.width}), "dh"),
          random_tensor(c.streams(), "dlink"),
          random_tensor(f32s({c.tokens, c.n}), "dpost", std::sqrt(double(c.width)))};
}

// On the device (a) makes all of dres from the link and its gradient; on the CPU the backward of
// the opening does. mhc_backward_test.cpp checks the other results of (a).
void make_dres(const HcCase& c, const OnDevice<bf16>& dlink, const OnDevice<bf16>& x,
               const OnDevice<float>& dres) {
  const OnDevice<bf16> f(random_tensor(bf16s({c.tokens, c.width}), "f")),
      df(bf16s({c.tokens, c.width}));
  const OnDevice<float> post(random_tensor(f32s({c.tokens, c.n}), "post")),
      dpost(f32s({c.tokens, c.n}));
  cuda::mhc_close_backward({.dy = dlink.data(),
                            .link = x.data(),
                            .f = f.data(),
                            .post = post.data(),
                            .df = df.data(),
                            .dpost = dpost.data(),
                            .dres = dres.data(),
                            .tokens = c.tokens,
                            .width = c.width,
                            .n = c.n},
                           nullptr);
}

// Results in the order of HcOpenBackward::Out.
Tensors backward_on_device(const HcCase& c, const Inputs& in) {
  const auto cut = cuda::hc_open_backward_cut(c.tokens, c.width, c.n);
  const Tensor none(f32s({8}));
  const auto there = [&](const Tensor& t) -> const Tensor& { return c.dynamic ? t : none; };
  const OnDevice<bf16> x(in.x), dh(in.dh), dlink(in.dlink), dx(in.x.spec);
  const OnDevice<float> theta(there(in.theta)), alpha(there(in.alpha)), b(in.b), u(there(in.u)),
      rstd(there(in.rstd)), dpost(in.dpost), dres(f32s({c.tokens, c.n * c.n})), db(in.b.spec),
      dtheta(there(in.theta).spec), dalpha(there(in.alpha).spec);
  const DeviceArray<float> workspace(size_t(cut.workspace));
  make_dres(c, dlink, x, dres);
  cuda::HcOpenBackwardArgs args;
  args.x = x.data(), args.dh = dh.data(), args.dlink = dlink.data(), args.b = b.data();
  args.dpost = dpost.data(), args.dres = dres.data(), args.dx = dx.data(), args.db = db.data();
  args.workspace = workspace.data(), args.tokens = c.tokens, args.width = c.width, args.n = c.n;
  if (c.dynamic) {
    args.theta = theta.data(), args.alpha = alpha.data(), args.u = u.data();
    args.stream_rstd = rstd.data(), args.dtheta = dtheta.data(), args.dalpha = dalpha.data();
  }
  cuda::hc_open_backward(args, nullptr);
  Tensors all = {dx.tensor(), db.tensor()};
  if (c.dynamic) all.push_back(dtheta.tensor()), all.push_back(dalpha.tensor());
  return all;
}

// dpost is an input of both, so it has no error here.
Coefficients coefficients(const HcCase& c, const Inputs& in, const Arithmetic& how, int64_t t) {
  const int64_t n = c.n;
  Coefficients of;
  of.pull.resize(size_t(n)), of.dz.resize(size_t(n * (n + 2)));
  for (int64_t k = 0; k < c.columns(); ++k) {
    const int64_t j = k % n, r = k / n, e = k - 2 * n;
    Uncertain d;
    if (k < n)
      d = dot_of(how, in.dh, t, in.x, t * n + k, c.width);
    else if (k < 2 * n)
      d = {in.dpost.at(t * n + k - n), 0};
    else
      d = dot_of(how, in.dlink, t * n + e / n, in.x, t * n + e % n, c.width);
    const double alpha = c.dynamic ? in.alpha.at(c.desc().group(k)) : 0;
    const double u = c.dynamic ? in.u.at(t * c.columns() + k) : 0;
    const double norm = c.dynamic ? in.rstd.at(t * n + j) : 0;
    const double th = std::tanh(u), slope = 1 - th * th;
    const Uncertain logit{
        alpha * th + in.b.at(k),
        std::fabs(alpha) * kTanh + kUnit * (std::fabs(alpha) + std::fabs(in.b.at(k)))};
    if (k < n) of.pre.push_back(logit);
    if (k >= 2 * n) of.res.push_back(logit);
    of.d.push_back(d), of.along.push_back({th, kTanh});
    const double du = alpha * d.value * slope;
    const double error = std::fabs(alpha) * (d.error * slope + std::fabs(d.value) * 3 * kTanh) +
                         3 * kUnit * std::fabs(du);
    of.dz[size_t(j * (n + 2) + r)] = {norm * du, norm * (error + kUnit * std::fabs(du))};
    const double scale = norm * norm / double(c.width);
    of.pull[size_t(j)].value -= scale * du * u;
    of.pull[size_t(j)].error +=
        scale * std::fabs(u) * (error + double(n + 8) * kHalf * std::fabs(du));
  }
  return of;
}

void check_backward(const HcCase& c) {
  SCOPED_TRACE(c.name());
  const Inputs in = inputs_of(c);
  const Tensors device = backward_on_device(c, in);
  const Tensors cpu =
      on_cpu(kHcOpenBackward,
             {in.x, in.theta, in.alpha, in.b, in.u, in.rstd, in.dh, in.dlink, in.dpost, Tensor()},
             c.desc());
  // Static HC has no weights, so it has no columns.
  const Rows rows{.tokens = c.tokens,
                  .width = c.width,
                  .n = c.n,
                  .x = &in.x,
                  .dh = &in.dh,
                  .dlink = &in.dlink,
                  .w = c.dynamic ? &in.theta : &in.b,
                  .columns = c.dynamic ? c.n + 2 : 0,
                  .shared_weight = true,
                  .alpha = c.dynamic ? &in.alpha : &in.b,
                  .group = [&](int64_t k) { return c.desc().group(k); }};
  RowsApart apart(rows, c.columns());
  for (const Arithmetic& how : {device_arithmetic(c.width), cpu_arithmetic(c.width, false)})
    for (int64_t t = 0; t < c.tokens; ++t) apart.add(rows, how, coefficients(c, in, how, t), t);
  const Tensor* const bounds[] = {&apart.dx, &apart.db, &apart.dw, &apart.dalpha};
  const char* const names[] = {"dx", "db", "dtheta", "dalpha"};
  for (size_t k = 0; k < device.size(); ++k) expect_apart(device[k], cpu[k], *bounds[k], names[k]);
}

TEST(CpuAgreement, HcBackward) {
  for (const HcCase& c : kCases) once(c.width, [&] { check_backward(c); });
}

}  // namespace
}  // namespace birkhoff::testing
