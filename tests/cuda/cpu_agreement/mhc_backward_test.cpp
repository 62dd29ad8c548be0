// mHC's backward: the device's three passes, where (a) makes all of dres, or its two passes,
// against the CPU's two operators, where the second makes dres from the link.
#include "kernels/cuda/mhc_passes.h"
#include "tests/cuda/cpu_agreement/mhc_apart.h"

namespace birkhoff::testing {
namespace {

enum Out { kDf, kDpost, kDx, kDphi, kDalpha, kDb };
const char* const kNames[] = {"df", "dpost", "dx", "dphi", "dalpha", "db"};

MhcBackwardInputs inputs_of(const MhcCase& c) {
  const Tensors opened = reference_open(c, {c.x(), c.phi(), c.alpha(), c.b()});
  return {c.x(),
          c.phi(),
          c.alpha(),
          c.b(),
          opened[MhcOpen::u].as(DType::f32),
          opened[MhcOpen::rho].as(DType::f32),
          random_tensor(c.bf16s(c.width), "dh"),
          random_tensor(c.streams(), "dy"),
          c.f(),
          c.post()};
}

Tensors backward_on_device(const MhcCase& c, const MhcBackwardInputs& in) {
  const OnDevice<bf16> x(in.x), dh(in.dh), dy(in.dy), f(in.f), df(in.f.spec), dx(in.x.spec);
  const OnDevice<float> phi(in.phi), alpha(in.alpha), b(in.b), u(in.u), rho(in.rho), post(in.post),
      dpost(c.floats(c.n)), dres(c.floats(c.n * c.n)), dphi(in.phi.spec), dalpha(in.alpha.spec),
      db(in.b.spec);
  cuda::mhc_close_backward({.dy = dy.data(),
                            .link = c.two_passes ? nullptr : x.data(),
                            .f = f.data(),
                            .post = post.data(),
                            .df = df.data(),
                            .dpost = dpost.data(),
                            .dres = c.two_passes ? nullptr : dres.data(),
                            .tokens = c.tokens,
                            .width = c.width,
                            .n = c.n},
                           nullptr);
  cuda::MhcOpenBackwardArgs args;
  args.x = x.data(), args.dh = dh.data(), args.dlink = dy.data();
  args.phi = phi.data(), args.alpha = alpha.data(), args.b = b.data();
  args.u = u.data(), args.rho = rho.data(), args.dpost = dpost.data();
  args.dres = c.two_passes ? nullptr : dres.data();
  args.dx = dx.data(), args.dphi = dphi.data(), args.dalpha = dalpha.data(), args.db = db.data();
  args.tokens = c.tokens, args.width = c.width, args.n = c.n;
  args.sinkhorn = {.v4 = c.form == SinkhornForm::v4, .iterations = c.iterations};
  const auto cut =
      c.two_passes ? cuda::mhc_open_backward_cluster_cut(args) : cuda::mhc_open_backward_cut(args);
  const DeviceArray<float> workspace(size_t(cut.workspace));
  args.workspace = workspace.data();
  c.two_passes ? cuda::mhc_open_backward_cluster(args, nullptr)
               : cuda::mhc_open_backward(args, nullptr);
  return {df.tensor(), dpost.tensor(), dx.tensor(), dphi.tensor(), dalpha.tensor(), db.tensor()};
}

Tensors backward_on_cpu(const MhcCase& c, const MhcBackwardInputs& in) {
  using B = MhcOpenBackward;
  const Tensors closed = on_cpu(kMhcCloseBackward, {in.dy, in.f, in.post}, StreamsDesc{.n = c.n});
  const Tensors opened = on_cpu(
      kMhcOpenBackward,
      {in.x, in.phi, in.alpha, in.b, in.u, in.rho, in.dh, in.dy, closed[1], Tensor()}, c.desc());
  return {closed[0], closed[1], opened[B::dx], opened[B::dphi], opened[B::dalpha], opened[B::db]};
}

// In the order of Out, without df: for df both do one FMA per stream, in order, and round once.
Tensors apart_of(const MhcCase& c, const MhcBackwardInputs& in, bool pairs) {
  const Arithmetic hows[] = {
      c.two_passes ? cluster_arithmetic(c.width) : device_arithmetic(c.width),
      cpu_arithmetic(c.width, pairs)};
  const Rows rows{.tokens = c.tokens,
                  .width = c.width,
                  .n = c.n,
                  .x = &in.x,
                  .dh = &in.dh,
                  .dlink = &in.dy,
                  .w = &in.phi,
                  .columns = c.columns(),
                  .shared_weight = false,
                  .alpha = &in.alpha,
                  .group = [&](int64_t k) { return c.desc().group(k); }};
  RowsApart opened(rows, c.columns());
  Tensor dpost = zeros(in.post.spec);
  for (int64_t t = 0; t < c.tokens; ++t)
    for (const Arithmetic& how : hows) {
      opened.add(rows, how, MhcCoefficients(c, in, how, t).of, t);
      for (int64_t i = t * c.n; i < (t + 1) * c.n; ++i)
        add_to(dpost, i, dot_of(how, in.dy, i, in.f, t, c.width).error);
    }
  return {Tensor(), dpost, opened.dx, opened.dw, opened.dalpha, opened.db};
}

void check_case(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  if (c.two_passes && capability() < 90) GTEST_SKIP() << "needs sm_90";
  const MhcBackwardInputs in = inputs_of(c);
  const Tensors device = backward_on_device(c, in);
  for (const bool pairs : {true, false}) {
    SCOPED_TRACE(pairs ? "pairs" : "no pairs");
    const Pairs allowed(pairs);
    const Tensors cpu = backward_on_cpu(c, in), apart = apart_of(c, in, pairs);
    expect_same(device[kDf], cpu[kDf], "df");
    for (int k : {kDpost, kDx, kDphi, kDalpha, kDb})
      expect_apart(device[size_t(k)], cpu[size_t(k)], apart[size_t(k)], kNames[k]);
  }
}

const MhcCase kCases[] = {
    {.tokens = 37, .width = 72, .n = 1}, {.tokens = 19, .width = 40, .n = 2},
    {.tokens = 70, .width = 72},         {.tokens = 9, .width = 24, .form = SinkhornForm::v4},
    {.tokens = 9, .width = 40, .n = 8},  {.tokens = 3, .width = 1280},
    {.tokens = 2, .width = 1920},        {.tokens = 3, .width = 2560},
};

TEST(CpuAgreement, MhcBackward) {
  for (const MhcCase& c : kCases) once(c.width, [&] { check_case(c); });
}

TEST(CpuAgreement, MhcBackwardInTwoPasses) {
  for (MhcCase c : kCases) {
    if (c.n == 8) continue;  // no kernel exists
    c.two_passes = true;
    once(c.width, [&] { check_case(c); });
  }
}

}  // namespace
}  // namespace birkhoff::testing
