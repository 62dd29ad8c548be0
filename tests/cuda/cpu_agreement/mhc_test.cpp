// mHC: compares each part of the computation, given both backends' results of the previous part;
// where those already differ, the bound includes the effect of that difference.
#include "tests/cuda/cpu_agreement/mhc_apart.h"
#include "tests/cuda/cpu_agreement/projection.h"
#include "tests/cuda/mhc_case.h"

namespace birkhoff::testing {
namespace {

// Checks post, res and h; logits are apart by as much as u is.
void expect_coefficients(const OpenRun& run, const Tensor& x, const Tensors& cpu) {
  const MhcCase& c = run.c;
  const Tensor u = run.u.tensor(), alpha = c.alpha(), b = c.b();
  Tensor post = zeros(c.floats(c.n)), res = zeros(c.floats(c.n * c.n)), h = zeros(c.bf16s(c.width));
  for (int64_t t = 0; t < c.tokens; ++t) {
    std::vector<double> logits, moved;
    for (int64_t k = 0; k < c.columns(); ++k) {
      const int64_t at = t * c.columns() + k;
      const double scale = alpha.at(c.desc().group(k)), theirs = cpu[MhcOpen::u].at(at);
      logits.push_back(scale * theirs + b.at(k));
      moved.push_back(std::fabs(scale * (u.at(at) - theirs)));
    }
    const auto gate = [&](int64_t k) {
      const double logit = logits[size_t(k)], s = sigmoid(logit), by = moved[size_t(k)];
      return Uncertain{s, s * (1 - s) * by * (1 + by) + 2 * gate_error(logit) * s};
    };
    for (int64_t i = 0; i < c.n; ++i) post.set(t * c.n + i, 2 * gate(c.n + i).error);
    const std::vector<double> of_res = MixApart(c.desc(), {logits.begin() + 2 * c.n, logits.end()})
                                           .of_two({moved.begin() + 2 * c.n, moved.end()});
    for (int64_t e = 0; e < c.n * c.n; ++e) res.set(t * c.n * c.n + e, of_res[size_t(e)]);
    for (int64_t i = 0; i < c.n; ++i) {
      const Uncertain pre = gate(i);
      for (int64_t e = 0; e < c.width; ++e)  // n products and sums on each side
        add_to(h, t * c.width + e,
               (pre.error + c.n * kUnit * (pre.value + c.desc().pre_eps())) *
                   std::fabs(x.at((t * c.n + i) * c.width + e)));
    }
  }
  expect_apart(run.post.tensor(), cpu[MhcOpen::post], post, "post");
  expect_apart(run.res.tensor(), cpu[MhcOpen::res], res, "res");
  expect_apart(run.h.tensor(), cpu[MhcOpen::h], h, "h");
}

// Compares with the CPU's opening of x. phi is f32, or already tf32, which the device does not
// round.
void expect_opened_as_on_cpu(const OpenRun& run, const Tensor& x, const Tensor& phi) {
  const MhcCase& c = run.c;
  for (const bool pairs : {true, false}) {
    SCOPED_TRACE(pairs ? "pairs" : "no pairs");
    const Pairs allowed(pairs);
    const Tensors cpu = on_cpu(kMhcOpen, {x, phi, c.alpha(), c.b()}, c.desc());
    expect_projected({.rows = c.tokens,
                      .length = c.n * c.width,
                      .columns = c.columns(),
                      .weight = [&](int64_t e, int64_t k) { return e * c.columns() + k; },
                      .at = [&](int64_t t, int64_t k) { return t * c.columns() + k; },
                      .streams = c.n,
                      .width = c.width,
                      .pairs = pairs},
                     x, phi, {run.u.tensor(), run.rho.tensor()},
                     {cpu[MhcOpen::u], cpu[MhcOpen::rho]});
    expect_coefficients(run, x, cpu);
  }
  // On the CPU another operator makes y; it gets the device's own h.
  expect_normed(run.y.tensor(), run.rstd.tensor(),
                on_cpu(kRmsNorm, {run.h.tensor(), c.gain()}, RmsNorm::Desc{.eps = 1e-20}),
                relative_of_rms(c.width));
}

void expect_open(const MhcCase& c, bool exact_phi) {
  SCOPED_TRACE(c.name() + (exact_phi ? " phi of tf32" : ""));
  const Tensor x = c.x(), phi = exact_phi ? as_tf32(c.phi()).as(DType::f32) : c.phi();
  const OpenRun run(c, x, phi);
  cuda::mhc_open(run.args, nullptr);
  expect_opened_as_on_cpu(run, x, phi);
}

const MhcCase kCases[] = {
    {.tokens = 33, .width = 24, .n = 1},
    {.tokens = 35, .width = 40, .n = 2, .eps = 1e-2},
    {.tokens = 19, .width = 264},
    {.tokens = 5, .width = 32, .form = SinkhornForm::v4},
    {.tokens = 9, .width = 40, .n = 8},
    {.tokens = 3, .width = 16, .n = 8, .form = SinkhornForm::v4, .iterations = 2},
    {.tokens = 3, .width = 1280},
    {.tokens = 3, .width = 1920},
    {.tokens = 3, .width = 2560},
};

TEST(CpuAgreement, MhcOpen) {
  for (const MhcCase& c : kCases)
    for (const bool exact_phi : {false, true}) once(c.width, [&] { expect_open(c, exact_phi); });
}

// Both compute post_i·f, then one FMA per stream, in order, and round once.
TEST(CpuAgreement, MhcCloseHasTheSameBits) {
  for (const MhcCase& c : kCases)
    once(c.width, [&] {
      SCOPED_TRACE(c.name());
      const CloseRun run(c);
      cuda::mhc_close(run.args, nullptr);
      for (const bool pairs : {true, false}) {
        const Pairs allowed(pairs);
        expect_same(run.y.tensor(),
                    on_cpu(kMhcClose, {c.x(), c.f(), c.post(), c.res()}, StreamsDesc{.n = c.n})[0],
                    "x'");
      }
    });
}

// The device does it in one pass; the CPU closes, then opens the result.
TEST(CpuAgreement, MhcCloseOpenIsCloseThenOpen) {
  for (const MhcCase& c : kCases)
    once(c.width, [&] {
      SCOPED_TRACE(c.name());
      const CloseRun close(c);
      OpenRun open(c);
      open.args.x = close.y.data();
      cuda::mhc_close_open(close.args, open.args, nullptr);
      const Tensor closed =
          on_cpu(kMhcClose, {c.x(), c.f(), c.post(), c.res()}, StreamsDesc{.n = c.n})[0];
      expect_same(close.y.tensor(), closed, "x'");
      expect_opened_as_on_cpu(open, closed, c.phi());
    });
}

}  // namespace
}  // namespace birkhoff::testing
