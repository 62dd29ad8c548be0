#include "kernels/mhc.h"

#include <gtest/gtest.h>

#include "tests/kernels/instruction_sets.h"
#include "tests/kernels/residual_pair.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

constexpr double kEpsilon = 1.1920929e-7;

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

struct Size {
  int tokens, width, n;
  SinkhornForm form = SinkhornForm::paper;
  double eps = 1e-20;
  MhcDesc desc() const { return {.n = n, .eps = eps, .sinkhorn = form}; }
};

// A generic state: at the model's own initialisation too much is zero or cancels.
std::vector<Tensor> open_inputs(const Size& s, double phi_scale = 0.3) {
  const int64_t columns = s.desc().columns(), wide = s.n * s.width;
  return {random_tensor(f32({s.tokens, wide}), "x"),
          random_tensor(f32({wide, columns}), "phi", phi_scale),
          random_tensor(f32({3}), "alpha", 0.3, 1), random_tensor(f32({columns}), "b")};
}

std::vector<Tensor> open_gradients(const Size& s) {
  return {random_tensor(f32({s.tokens, s.width}), "dh"),
          random_tensor(f32({s.tokens, s.n * s.width}), "dlink"),
          random_tensor(f32({s.tokens, s.n}), "dpost"),
          random_tensor(f32({s.tokens, s.n * s.n}), "dres")};
}

void add_open(std::vector<Example>& all, const Size& s) {
  const auto in = open_inputs(s);
  const std::string label = fmt::format("{}x{}x{} {}", s.tokens, s.n, s.width, s.desc().n);
  all.push_back({.op = &kMhcOpen,
                 .inputs = in,
                 .desc = s.desc(),
                 // An entry of u sums n·C ≤ 320 products, with an error of about sqrt(320)/2
                 // epsilon, which the gates pass on.
                 .tolerance = 32,
                 .scale = 1,
                 .differentiable = s.tokens * s.width < 200,
                 .stored = {MhcOpen::x},
                 // phi may be accurate to only 2^-17: an entry of u is a sum of products that are
                 // off by that times 0.33 at random, so it is off by 2^-17·0.33·0.3·sqrt(n·C ≤ 320)
                 // = 1.4e-5, and the gates, of slope ≤ 1/2, by half. 2^-15 is over 4 of those.
                 .stored_tolerance = 1.0 / 128,
                 .stored_tolerance_of = {MhcOpen::h, MhcOpen::post, MhcOpen::res, MhcOpen::u}});
  const auto out = run(kMhcOpen, in, s.desc());
  auto full = in;
  full.push_back(out[MhcOpen::u]), full.push_back(out[MhcOpen::rho]);
  for (const Tensor& d : open_gradients(s)) full.push_back(d);
  using B = MhcOpenBackward;
  const auto backward = [&](std::vector<Tensor> inputs, std::string what) {
    all.push_back({.op = &kMhcOpenBackward,
                   .inputs = std::move(inputs),
                   .desc = s.desc(),
                   .label = label + what,
                   .tolerance = 64,  // sums over up to 600 tokens
                   .scale = 1,
                   .stored = {B::x, B::dh, B::dlink},
                   // dz and phi may be bf16 in dz·phiᵀ: the sum of K products, each off by
                   // 2^-8·0.33·√2 of itself at random, is off by half of 2^-8 of its rms. Six of
                   // those are 2^-8 of the largest dx, which is at least three times its rms.
                   .stored_tolerance = 1,
                   .stored_tolerance_of = {B::dx}});
  };
  backward(full, "");
  if (s.tokens > 20) return;
  for (const int absent : {MhcOpenBackward::dh, MhcOpenBackward::dlink, MhcOpenBackward::dpost,
                           MhcOpenBackward::dres}) {
    auto some = full;
    some[size_t(absent)] = Tensor();
    backward(some, fmt::format(" without input {}", absent));
  }
}

void add_close(std::vector<Example>& all) {
  for (const Size s : {Size{1, 1, 1},
                       {3, 5, 2},
                       {2, 7, 3},
                       {17, 33, 4},
                       {2, 40, 8},
                       {16, 32, 4},
                       {3, 96, 4},
                       {5, 46, 4},
                       {7, 34, 3}}) {
    const StreamsDesc desc{.n = s.n};
    const Tensor link = random_tensor(f32({s.tokens, s.n * s.width}), "link"),
                 f = random_tensor(f32({s.tokens, s.width}), "f"),
                 post = random_tensor(f32({s.tokens, s.n}), "post"),
                 res = random_tensor(f32({s.tokens, s.n * s.n}), "res"),
                 dy = random_tensor(f32({s.tokens, s.n * s.width}), "dy");
    all.push_back({.op = &kMhcClose,
                   .inputs = {link, f, post, res},
                   .desc = desc,
                   .tolerance = 16,  // n + 1 ≤ 9 products
                   // the gradient of both is a convention, which ThePairsGradients… differences
                   .constant_inputs = {MhcClose::link, MhcClose::res},
                   .stored = {MhcClose::link, MhcClose::f}});
    all.push_back({.op = &kMhcCloseBackward,
                   .inputs = {dy, f, post},
                   .desc = desc,
                   .tolerance = 16,
                   .scale = 8,  // size of the products' sum over 40 channels
                   .stored = {MhcCloseBackward::dy, MhcCloseBackward::f}});
  }
}

std::vector<Example> mhc_examples() {
  std::vector<Example> all;
  for (const SinkhornForm form : {SinkhornForm::paper, SinkhornForm::v4}) {
    for (const Size s : {Size{1, 1, 1}, {3, 5, 2}, {2, 7, 3}, {5, 9, 4}, {2, 40, 8}})
      add_open(all, {s.tokens, s.width, s.n, form, form == SinkhornForm::v4 ? 1e-6 : 1e-20});
    add_open(all, {600, 5, 4, form});  // all slabs
    add_open(all, {19, 67, 4, form, 1e-2});
  }
  // Whole panels of 32 channels and parts of one; blocks of 16 and 32 tokens and remainders.
  for (const Size s :
       {Size{16, 32, 4}, {17, 96, 4}, {33, 34, 4}, {513, 6, 4}, {7, 64, 3}, {9, 34, 5}})
    add_open(all, s);
  add_close(all);
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Mhc, mhc_examples)

// ---- The formulas, computed by hand ----

// Residual streams [1, 1], [2, 2], …: stream j holds j + 1.
Tensor counted_streams(int n, int width) {
  Tensor x(f32({1, n * width}));
  for (int64_t e = 0; e < x.spec.count(); ++e) x.set(e, double(e / width + 1));
  return x;
}

TEST(Mhc, StreamIOfTheNextStateTakesStreamJByResIJ) {
  const Tensor x(f32({1, 4}), {1, 2, 10, 20}), f(f32({1, 2}), {100, 200});
  const Tensor post(f32({1, 2}), {0, 3}), res(f32({1, 4}), {0, 1, 0.5, 0});
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto y = run(kMhcClose, {x, f, post, res}, StreamsDesc{.n = 2}, {.device = device});
    // x'_0 = x_1; x'_1 = x_0 / 2 + 3 f
    EXPECT_EQ(y[0].values(), (std::vector<double>{10, 20, 300.5, 601}));
  }
}

TEST(Mhc, TheSublayerReadsStreamIByPreI) {
  const int n = 4, width = 3;
  const Tensor x = counted_streams(n, width), alpha(f32({3}), {1, 1, 1});
  const Tensor phi(f32({n * width, 24}), std::vector<double>(size_t(n * width) * 24, 0.0));
  Tensor b(f32({24}), std::vector<double>(24, 0.0));
  for (const int i : {0, 1, 2, 3}) b.set(i, i == 2 ? 200 : -200);  // pre = e_2 exactly
  const auto out = run(kMhcOpen, {x, phi, alpha, b}, MhcDesc{.n = n}, {.device = Device::cpu});
  for (const double h : out[MhcOpen::h].values()) EXPECT_EQ(h, 3);
}

TEST(Mhc, InV4sFormPreHasAnEps) {
  const Tensor x(f32({1, 2}), {3e6, 4e6}), alpha(f32({3}), {1, 1, 1});
  const Tensor phi(f32({2, 8}), std::vector<double>(16, 0.0));
  const Tensor b(f32({8}), {-200, -200, 0, 0, 0, 0, 0, 0});
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto h = [&](SinkhornForm form) {
      const MhcDesc desc{.n = 2, .sinkhorn = form};
      return run(kMhcOpen, {x, phi, alpha, b}, desc, {.device = device})[MhcOpen::h].at(0);
    };
    EXPECT_NEAR(h(SinkhornForm::v4), 7, 4 * kEpsilon * 7);
    EXPECT_NEAR(h(SinkhornForm::paper), 0, 1e-70);
  }
}

TEST(Mhc, OneNormCoversAllStreams) {
  const Tensor x(f32({1, 2}), {3, 4}), alpha(f32({3}), {0, 0, 0});
  Tensor phi(f32({2, 8}), std::vector<double>(16, 0.0));
  phi.set(5, 1), phi.set(8 + 5, 10);
  const Tensor b(f32({8}), std::vector<double>(8, 0.0));
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto out =
        run(kMhcOpen, {x, phi, alpha, b}, MhcDesc{.n = 2, .eps = 3.5}, {.device = device});
    EXPECT_NEAR(out[MhcOpen::rho].at(0), 0.25, kEpsilon);  // mean(9, 16) + 3.5 = 16
    EXPECT_NEAR(out[MhcOpen::u].at(5), 0.25 * 43, 16 * kEpsilon);
  }
}

TEST(Mhc, PostIsTwiceASigmoid) {
  const Size s{.tokens = 2, .width = 3, .n = 2};
  auto in = open_inputs(s, 0);
  in[MhcOpen::b] = Tensor(f32({8}), {0, 0, 0, 30, 0, 0, 0, 0});
  const auto out = run(kMhcOpen, in, s.desc(), {.device = Device::cpu});
  EXPECT_EQ(out[MhcOpen::post].values(), (std::vector<double>{1, 2, 1, 2}));
}

TEST(Mhc, OneStreamIsKeptWhole) {
  const Size s{.tokens = 5, .width = 3, .n = 1};
  const auto out = run(kMhcOpen, open_inputs(s), s.desc(), {.device = Device::cpu});
  for (const double r : out[MhcOpen::res].values()) EXPECT_EQ(r, 1);
}

TEST(Mhc, AlphaScalesPrePostAndResInThisOrderAndNotB) {
  const Size s{.tokens = 3, .width = 4, .n = 2};
  for (const int group : {0, 1, 2}) {
    auto in = open_inputs(s);
    in[MhcOpen::alpha] = Tensor(f32({3}), {0, 0, 0});
    const auto without = run(kMhcOpen, in, s.desc(), {.device = Device::cpu});
    in[MhcOpen::alpha].set(group, 1);
    const auto with = run(kMhcOpen, in, s.desc(), {.device = Device::cpu});
    const MhcOpen::Out of[] = {MhcOpen::h, MhcOpen::post, MhcOpen::res};
    for (const int other : {0, 1, 2})
      EXPECT_EQ(with[of[other]].values() != without[of[other]].values(), other == group) << other;
  }
}

// With equal residual streams, H_post = 1 and rows of H_res that sum to 1, a sublayer adds f to
// each stream, whatever H_res is: the paper's initialisation is the plain residual network.
TEST(Mhc, AtInitialisationIsAPlainResidual) {
  const int n = 4, width = 19, tokens = 7;
  const Tensor plain = random_tensor(f32({tokens, width}), "plain"),
               f = random_tensor(f32({tokens, width}), "f");
  const Tensor x = run(kCopyStreams, {plain}, StreamsDesc{.n = n})[0];
  const Tensor phi(f32({n * width, 24}), std::vector<double>(size_t(n * width) * 24, 0.0));
  Tensor b(f32({24}), std::vector<double>(24, 0.0));
  for (int i = 0; i < n; ++i) {
    b.set(i, i == 1 ? 3 : -3);
    for (int j = 0; j < n; ++j) b.set(8 + i * n + j, i == j ? 3 : -3);
  }
  const Tensor alpha(f32({3}), {0.01, 0.01, 0.01});
  const auto open = run(kMhcOpen, {x, phi, alpha, b}, MhcDesc{.n = n}, {.device = Device::cpu});
  const auto y = run(kMhcClose, {x, f, open[MhcOpen::post], open[MhcOpen::res]},
                     StreamsDesc{.n = n}, {.device = Device::cpu});
  Tensor want = y[0];
  for (int64_t e = 0; e < want.spec.count(); ++e) {
    const int64_t at = e / (n * width) * width + e % width;
    want.set(e, plain.at(at) + f.at(at));
  }
  // Rows of H_res sum to 1 within n epsilon, and 5 terms of size ≤ 4 are added.
  expect_close(y[0], want, (n + 5) * kEpsilon * 4, "x + f");
}

// ---- Gradients beyond the harness ----

TEST(Mhc, ThePairsGradientsMatchDifferences) {
  for (const Size s :
       {Size{2, 3, 1}, {2, 5, 2}, {2, 3, 3}, {3, 4, 4}, {2, 3, 4, SinkhornForm::v4}}) {
    check_pair(kMhcOpen, in_double(open_inputs(s)), s.desc(), s.n, fmt::format("n {}", s.n));
  }
}

// u does not change when x is scaled (eps → 0), so the gradient that reaches x through u is
// orthogonal to x. Without the norm's own term 2·v·ds, <x, dx> would be Σ u·du instead.
TEST(Mhc, GradientThroughTheNormIsOrthogonalToX) {
  const Size s{.tokens = 3, .width = 21, .n = 4};
  const auto in = open_inputs(s);
  const auto out = run(kMhcOpen, in, s.desc());
  const auto d = open_gradients(s);
  const auto dx = run(kMhcOpenBackward,
                      {in[0], in[1], in[2], in[3], out[MhcOpen::u], out[MhcOpen::rho], Tensor(),
                       Tensor(), d[2], d[3]},
                      s.desc(), {.device = Device::cpu})[0];
  for (int64_t t = 0; t < s.tokens; ++t) {
    double along = 0, size = 0;
    for (int64_t e = t * 84; e < (t + 1) * 84; ++e)
      along += dx.at(e) * in[0].at(e), size += std::abs(dx.at(e) * in[0].at(e));
    EXPECT_LT(std::abs(along), 8 * kEpsilon * size) << t;
    EXPECT_GT(size, 1) << "nothing to cancel";
  }
}

// ---- Bits ----

TEST(Mhc, ATokensBitsDoNotDependOnItsCompany) {
  const Size many{.tokens = 37, .width = 45, .n = 4};
  const auto in = open_inputs(many);
  const auto d = open_gradients(many);
  const RunOptions cpu{.device = Device::cpu};
  const auto all = run(kMhcOpen, in, many.desc(), cpu);
  const auto all_back =
      run(kMhcOpenBackward,
          {in[0], in[1], in[2], in[3], all[MhcOpen::u], all[MhcOpen::rho], d[0], d[1], d[2], d[3]},
          many.desc(), cpu);
  for (const int64_t t : {0, 3, 16, 35, 36}) {
    const auto one = run(kMhcOpen, {row(in[0], t), in[1], in[2], in[3]}, many.desc(), cpu);
    for (size_t k = 0; k < one.size(); ++k)
      expect_same_bits(one[k], row(all[k], t), fmt::format("token {} output {}", t, k));
    const auto back = run(kMhcOpenBackward,
                          {row(in[0], t), in[1], in[2], in[3], one[MhcOpen::u], one[MhcOpen::rho],
                           row(d[0], t), row(d[1], t), row(d[2], t), row(d[3], t)},
                          many.desc(), cpu);
    expect_same_bits(back[0], row(all_back[0], t), fmt::format("token {} dx", t));
  }
}

// The harness runs the best instruction set of this machine. This test runs the others, down to one
// lane without FMA, whose vectors and register tiles differ.
TEST(Mhc, EveryInstructionSetMatchesTheReference) {
  std::vector<Example> all;
  for (const SinkhornForm form : {SinkhornForm::paper, SinkhornForm::v4})
    for (const Size s : {Size{3, 5, 2}, {19, 67, 4}, {2, 40, 8}})
      add_open(all, {s.tokens, s.width, s.n, form});
  add_close(all);
  on_other_instruction_sets([&] {
    for (Example& e : all) {
      e.differentiable = false;
      if (e.label.find("without") == std::string::npos) check_operator(e);
    }
  });
}

TEST(Mhc, ANanOfAParameterShowsInEveryCoefficient) {
  const Size s{.tokens = 2, .width = 5, .n = 4};
  for (const int input : {MhcOpen::phi, MhcOpen::alpha, MhcOpen::b}) {
    auto in = open_inputs(s);
    for (int64_t e = 0; e < in[size_t(input)].spec.count(); ++e) in[size_t(input)].set(e, NAN);
    const auto out = run(kMhcOpen, in, s.desc(), {.device = Device::cpu});
    for (const int k : {MhcOpen::h, MhcOpen::post, MhcOpen::res})
      for (const double value : out[size_t(k)].values()) EXPECT_TRUE(std::isnan(value)) << k;
  }
}

// ---- Costs and validation ----

double unique_elements(const Operator& op, const std::vector<TensorSpec>& in, const Desc& desc) {
  return unique_bytes(op, in, desc) / 4;
}

// Everything is f32, so that bytes / 4 counts elements: 14C forward and 19C backward per token,
// plus the coefficients, which are 2 % of that at this width.
TEST(Mhc, MovesFourteenCForwardAndNineteenCBackward) {
  const int64_t tokens = 4096, width = 2560, n = 4, columns = 24, wide = n * width;
  const TensorSpec x = f32({tokens, wide}), h = f32({tokens, width}), post = f32({tokens, n}),
                   res = f32({tokens, n * n}), u = f32({tokens, columns}), rho = f32({tokens}),
                   phi = f32({wide, columns}), alpha = f32({3}), b = f32({columns});
  const MhcDesc open{.n = int(n)};
  const StreamsDesc close{.n = int(n)};
  const double rows = double(tokens * width), parameters = double(wide * columns + 3 + columns);
  const double forward = unique_elements(kMhcOpen, {x, phi, alpha, b}, open) +
                         unique_elements(kMhcClose, {x, h, post, res}, close);
  // post and res are written and read, u and rho written; the parameters are read
  EXPECT_EQ(forward, 14 * rows + double(tokens) * (2 * 20 + 25) + parameters);
  const double backward =
      unique_elements(kMhcCloseBackward, {x, h, post}, close) +
      unique_elements(kMhcOpenBackward, {x, phi, alpha, b, u, rho, h, x, post, {}}, open);
  // post read; dpost written and read; u and rho read; 8 partial sums of dphi
  EXPECT_EQ(backward, 19 * rows + double(tokens) * (4 + 2 * 4 + 25) + 2 * parameters +
                          2 * 8 * double(wide * columns));
}

TEST(Mhc, RefusesWhatDoesNotFit) {
  const std::vector<TensorSpec> open = {f32({2, 12}), f32({12, 24}), f32({3}), f32({24})};
  EXPECT_NO_THROW(kMhcOpen.outputs(open, MhcDesc{.n = 4}));
  EXPECT_THROW(kMhcOpen.outputs(open, MhcDesc{.n = 5}), InternalError);
  EXPECT_THROW(kMhcOpen.outputs(open, MhcDesc{.n = 0}), InternalError);
  EXPECT_THROW(kMhcOpen.outputs(open, MhcDesc{.n = 4, .iterations = 0}), InternalError);
  for (size_t i = 0; i < open.size(); ++i) {
    auto wrong = open;
    wrong[i].shape.back() += 1;
    EXPECT_THROW(kMhcOpen.outputs(wrong, MhcDesc{.n = 4}), InternalError) << i;
  }
  const std::vector<TensorSpec> close = {f32({2, 12}), f32({2, 3}), f32({2, 4}), f32({2, 16})};
  EXPECT_NO_THROW(kMhcClose.outputs(close, StreamsDesc{.n = 4}));
  for (size_t i = 0; i < close.size(); ++i) {
    auto wrong = close;
    wrong[i].shape.back() += 1;
    EXPECT_THROW(kMhcClose.outputs(wrong, StreamsDesc{.n = 4}), InternalError) << i;
  }
}

TEST(Mhc, ADescSaysItsForm) {
  EXPECT_EQ(Desc(MhcDesc{.n = 4}).text(),
            "n=4 eps=1e-20 iterations=20 sinkhorn=paper sinkhorn_eps=1e-06");
  EXPECT_FALSE(Desc(MhcDesc{.n = 4}) == Desc(MhcDesc{.n = 4, .sinkhorn = SinkhornForm::v4}));
}

TEST(Mhc, TheLinkIsAPrivateViewOfX) {
  const Size s{.tokens = 1, .width = 2, .n = 2};
  const std::vector<TensorSpec> specs = {f32({1, 4}), f32({4, 8}), f32({3}), f32({8})};
  const auto out = kMhcOpen.outputs(specs, s.desc());
  EXPECT_EQ(out[MhcOpen::link].view_of, int(MhcOpen::x));
  EXPECT_TRUE(out[MhcOpen::link].private_link);
  EXPECT_FALSE(out[MhcOpen::res].saved);  // read by mhc_close and by telemetry
}

}  // namespace
}  // namespace birkhoff::testing
