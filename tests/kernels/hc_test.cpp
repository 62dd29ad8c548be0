#include "kernels/hc.h"

#include <gtest/gtest.h>

#include "tests/kernels/instruction_sets.h"
#include "tests/kernels/residual_pair.h"

namespace birkhoff::testing {
namespace {

constexpr double kEpsilon = 1.1920929e-7;

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
Tensor zeros(Shape shape) {
  const int64_t size = count(shape);
  return {f32(std::move(shape)), std::vector<double>(size_t(size), 0.0)};
}

struct Size {
  int tokens, width, n;
  bool dynamic = true;
  double eps = 1e-20;
  HcDesc desc() const { return {.n = n, .eps = eps}; }
};

// A generic state: at the model's own initialisation too much is zero or cancels.
std::vector<Tensor> open_inputs(const Size& s, double theta_scale = 0.3) {
  const Tensor x = random_tensor(f32({s.tokens, s.n * s.width}), "x");
  const Tensor b = random_tensor(f32({s.desc().columns()}), "b");
  if (!s.dynamic) return {x, Tensor(), Tensor(), b};
  return {x, random_tensor(f32({s.n + 2, s.width}), "theta", theta_scale),
          random_tensor(f32({3}), "alpha", 0.3, 1), b};
}

std::vector<Tensor> open_gradients(const Size& s) {
  return {random_tensor(f32({s.tokens, s.width}), "dh"),
          random_tensor(f32({s.tokens, s.n * s.width}), "dlink"),
          random_tensor(f32({s.tokens, s.n}), "dpost"),
          random_tensor(f32({s.tokens, s.n * s.n}), "dres")};
}

// The inputs of hc_open_backward: `in`, the outputs that hc_open computed from it, and d.
std::vector<Tensor> backward_inputs(const std::vector<Tensor>& in, const std::vector<Tensor>& out,
                                    const std::vector<Tensor>& d) {
  auto all = in;
  const bool dynamic = out.size() > HcOpen::u;
  all.push_back(dynamic ? out[HcOpen::u] : Tensor());
  all.push_back(dynamic ? out[HcOpen::rstd] : Tensor());
  all.insert(all.end(), d.begin(), d.end());
  return all;
}

void add_open(std::vector<Example>& all, const Size& s) {
  const auto in = open_inputs(s);
  const std::string label =
      fmt::format("{}x{}x{}{} eps {}", s.tokens, s.n, s.width, s.dynamic ? "" : " static", s.eps);
  all.push_back({.op = &kHcOpen,
                 .inputs = in,
                 .desc = s.desc(),
                 .label = label,
                 // An entry of u sums C ≤ 67 products, with an error of about sqrt(67)/2 epsilon;
                 // tanh, whose slope is at most 1, is accurate to 4 ulp.
                 .tolerance = 32,
                 .scale = 1,
                 .differentiable = s.tokens * s.width < 200,
                 .stored = {HcOpen::x}});
  const auto full = backward_inputs(in, run(kHcOpen, in, s.desc()), open_gradients(s));
  const auto backward = [&](std::vector<Tensor> inputs, const std::string& what) {
    all.push_back({.op = &kHcOpenBackward,
                   .inputs = std::move(inputs),
                   .desc = s.desc(),
                   .label = label + what,
                   .tolerance = 64,  // sums over up to 600 tokens
                   .scale = 1,
                   .stored = {HcOpenBackward::x, HcOpenBackward::dh, HcOpenBackward::dlink}});
  };
  backward(full, "");
  if (s.tokens > 20) return;
  for (const int absent :
       {HcOpenBackward::dh, HcOpenBackward::dlink, HcOpenBackward::dpost, HcOpenBackward::dres}) {
    auto some = full;
    some[size_t(absent)] = Tensor();
    backward(some, fmt::format(" without input {}", absent));
  }
}

std::vector<Example> hc_examples() {
  std::vector<Example> all;
  for (const bool dynamic : {true, false}) {
    for (const Size s : {Size{1, 1, 1}, {3, 5, 2}, {2, 7, 3}, {5, 9, 4}, {2, 40, 8}, {3, 6, 5}})
      add_open(all, {s.tokens, s.width, s.n, dynamic});
    add_open(all, {600, 5, 4, dynamic});  // all slabs, the last one short
    add_open(all, {19, 67, 4, dynamic, 1e-2});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Hc, hc_examples)

// ---- The formulas, computed by hand ----

// x'_0 = x_1; x'_1 = x_0/2 + 3 f, by b alone, with a theta and alpha of zeros and without them.
TEST(Hc, StreamIOfTheNextStateTakesStreamJByBResIJ) {
  const Tensor x(f32({1, 4}), {1, 2, 10, 20}), f(f32({1, 2}), {100, 200});
  const Tensor b(f32({8}), {1, 0, 0, 3, 0, 1, 0.5, 0});
  for (const Device device : {Device::cpu, Device::reference})
    for (const bool dynamic : {true, false}) {
      const Tensor theta = dynamic ? zeros({4, 2}) : Tensor(),
                   alpha = dynamic ? zeros({3}) : Tensor();
      const auto open = run(kHcOpen, {x, theta, alpha, b}, HcDesc{.n = 2}, {.device = device});
      const auto y = run(kMhcClose, {x, f, open[HcOpen::post], open[HcOpen::res]},
                         StreamsDesc{.n = 2}, {.device = device});
      EXPECT_EQ(open[HcOpen::h].values(), (std::vector<double>{1, 2}));
      EXPECT_EQ(y[0].values(), (std::vector<double>{10, 20, 300.5, 601}));
    }
}

// x̃_0 = (√2, 0), x̃_1 = (0, √2): a row of theta with one nonzero entry sees one residual stream.
TEST(Hc, EntryIJOfResSeesRowIOfThetaAndStreamJ) {
  const Tensor x(f32({1, 4}), {3, 0, 0, -5}), b = zeros({8});
  const Tensor theta(f32({4, 2}), {1, 0, 0, 1, 0, 2, 0, 0});  // pre, post, res 0, res 1
  const Tensor alpha(f32({3}), {2, 3, 4});
  const double root = std::sqrt(2.0), pre = 2 * std::tanh(root), post = -3 * std::tanh(root),
               res = -4 * std::tanh(2 * root);
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto out = run(kHcOpen, {x, theta, alpha, b}, HcDesc{.n = 2}, {.device = device});
    const auto expect = [&](HcOpen::Out k, const std::vector<double>& want) {
      for (size_t e = 0; e < want.size(); ++e)
        EXPECT_NEAR(out[k].at(int64_t(e)), want[e], 16 * kEpsilon) << k << " " << e;
    };
    expect(HcOpen::h, {3 * pre, 0});  // pre = (2·tanh √2, 0)
    expect(HcOpen::post, {0, post});
    expect(HcOpen::res, {0, res, 0, 0});
  }
}

// Unlike mhc, which has one norm over all residual streams.
TEST(Hc, EachStreamHasItsOwnNorm) {
  const Size s{.tokens = 3, .width = 21, .n = 4};
  auto in = open_inputs(s);
  const auto before = run(kHcOpen, in, s.desc(), {.device = Device::cpu});
  for (int64_t t = 0; t < s.tokens; ++t)
    for (int64_t c = 0; c < s.width; ++c) {  // residual stream 2
      const int64_t at = (t * s.n + 2) * s.width + c;
      in[HcOpen::x].set(at, 1024 * in[HcOpen::x].at(at));
    }
  const auto after = run(kHcOpen, in, s.desc(), {.device = Device::cpu});
  expect_same_bits(after[HcOpen::u], before[HcOpen::u], "u");  // scaling by 2^10 rounds nothing
  for (int64_t e = 0; e < s.tokens * s.n; ++e)
    EXPECT_EQ(after[HcOpen::rstd].at(e) * (e % s.n == 2 ? 1024 : 1), before[HcOpen::rstd].at(e));
}

TEST(Hc, EpsIsAddedToTheMeanOfTheSquares) {
  const Tensor x(f32({1, 4}), {3, 4, 1, 1}), alpha = zeros({3}), b = zeros({8});
  const Tensor theta(f32({4, 2}), {0, 0, 1, 10, 0, 0, 0, 0});
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto out =
        run(kHcOpen, {x, theta, alpha, b}, HcDesc{.n = 2, .eps = 3.5}, {.device = device});
    EXPECT_NEAR(out[HcOpen::rstd].at(0), 0.25, kEpsilon);  // mean(9, 16) + 3.5 = 16
    EXPECT_NEAR(out[HcOpen::u].at(2), 0.25 * 43, 16 * kEpsilon);
  }
}

TEST(Hc, AlphaScalesPrePostAndResInThisOrderAndNotB) {
  const Size s{.tokens = 3, .width = 4, .n = 2};
  for (const int group : {0, 1, 2}) {
    auto in = open_inputs(s);
    in[HcOpen::alpha] = zeros({3});
    const auto without = run(kHcOpen, in, s.desc(), {.device = Device::cpu});
    in[HcOpen::alpha].set(group, 1);
    const auto with = run(kHcOpen, in, s.desc(), {.device = Device::cpu});
    const HcOpen::Out of[] = {HcOpen::h, HcOpen::post, HcOpen::res};
    for (const int other : {0, 1, 2})
      EXPECT_EQ(with[of[other]].values() != without[of[other]].values(), other == group) << other;
  }
}

TEST(Hc, StaticIsDynamicWithoutThetaAndAlpha) {
  for (const int n : {3, 4}) {
    const Size s{.tokens = 70, .width = 13, .n = n};
    auto in = open_inputs(s);
    in[HcOpen::theta] = zeros(in[HcOpen::theta].spec.shape), in[HcOpen::alpha] = zeros({3});
    const std::vector<Tensor> fixed = {in[HcOpen::x], Tensor(), Tensor(), in[HcOpen::b]};
    const RunOptions cpu{.device = Device::cpu};
    const auto want = run(kHcOpen, in, s.desc(), cpu), got = run(kHcOpen, fixed, s.desc(), cpu);
    ASSERT_EQ(got.size(), 4u);
    for (size_t k = 0; k < 4; ++k) EXPECT_EQ(got[k].values(), want[k].values()) << k;
    const auto d = open_gradients(s);
    const auto back = run(kHcOpenBackward, backward_inputs(in, want, d), s.desc(), cpu);
    const auto fixed_back = run(kHcOpenBackward, backward_inputs(fixed, got, d), s.desc(), cpu);
    ASSERT_EQ(fixed_back.size(), 2u);
    for (size_t k = 0; k < 2; ++k) EXPECT_EQ(fixed_back[k].values(), back[k].values()) << k;
  }
}

// With equal residual streams, b_pre = e_k, b_post = 1 and b_res = I, every residual stream becomes
// x + f. Only the sum is rounded, since the factors are 0 and 1.
TEST(Hc, AtInitialisationIsAPlainResidual) {
  for (const int n : {1, 3, 4}) {
    const int width = 19, tokens = 7;
    const Tensor plain = random_tensor(f32({tokens, width}), "plain"),
                 f = random_tensor(f32({tokens, width}), "f");
    const Tensor x = run(kCopyStreams, {plain}, StreamsDesc{.n = n})[0];
    Tensor b = zeros({n * n + 2 * n});
    b.set(n / 2, 1);
    for (int i = 0; i < n; ++i) b.set(n + i, 1), b.set(2 * n + i * n + i, 1);
    const Tensor alpha(f32({3}), {0.01, 0.01, 0.01});
    const RunOptions cpu{.device = Device::cpu};
    const auto open = run(kHcOpen, {x, zeros({n + 2, width}), alpha, b}, HcDesc{.n = n}, cpu);
    const auto y =
        run(kMhcClose, {x, f, open[HcOpen::post], open[HcOpen::res]}, StreamsDesc{.n = n}, cpu);
    EXPECT_EQ(open[HcOpen::h].values(), plain.values());
    for (int64_t e = 0; e < y[0].spec.count(); ++e) {
      const int64_t at = e / (n * width) * width + e % width;
      EXPECT_EQ(y[0].at(e), double(float(plain.at(at)) + float(f.at(at)))) << n << " " << e;
    }
  }
}

// ---- Gradients beyond the harness ----

TEST(Hc, ThePairsGradientsMatchDifferences) {
  for (const bool dynamic : {true, false})
    for (const Size s : {Size{2, 3, 1}, {2, 5, 2}, {2, 3, 3}, {3, 4, 4}}) {
      const Size size{s.tokens, s.width, s.n, dynamic};
      check_pair(kHcOpen, in_double(open_inputs(size)), size.desc(), s.n,
                 fmt::format("n {} {}", s.n, dynamic ? "dynamic" : "static"));
    }
}

// u_rj does not change when x_j is scaled (eps → 0), so the gradient that reaches x_j through u is
// orthogonal to x_j. Without the norm's own term, <x_j, dx_j> would be Σ_r u·du instead.
TEST(Hc, GradientThroughEachNormIsOrthogonalToItsStream) {
  const Size s{.tokens = 3, .width = 21, .n = 4};
  const auto in = open_inputs(s);
  auto d = open_gradients(s);
  d[0] = Tensor(), d[1] = Tensor();
  const auto all = backward_inputs(in, run(kHcOpen, in, s.desc()), d);
  const Tensor dx = run(kHcOpenBackward, all, s.desc(), {.device = Device::cpu})[0];
  for (int64_t stream = 0; stream < s.tokens * s.n; ++stream) {
    double along = 0, size = 0;
    for (int64_t e = stream * s.width; e < (stream + 1) * s.width; ++e)
      along += dx.at(e) * in[0].at(e), size += std::abs(dx.at(e) * in[0].at(e));
    EXPECT_LT(std::abs(along), 16 * kEpsilon * size) << stream;
    EXPECT_GT(size, 0.1) << "nothing to cancel";
  }
}

// tanh is flat at ±10 and beyond: H~ is b ± alpha, no gradient reaches theta, and all is finite.
TEST(Hc, SaturatedGatesPassNoGradient) {
  const Size s{.tokens = 4, .width = 9, .n = 4};
  const auto in = open_inputs(s, 1e6);
  const RunOptions cpu{.device = Device::cpu};
  const auto out = run(kHcOpen, in, s.desc(), cpu);
  for (int64_t e = 0; e < out[HcOpen::u].spec.count(); ++e)
    ASSERT_GT(std::abs(out[HcOpen::u].at(e)), 10) << e;
  for (int64_t e = 0; e < out[HcOpen::post].spec.count(); ++e)
    EXPECT_NEAR(std::abs(out[HcOpen::post].at(e) - in[HcOpen::b].at(s.n + e % s.n)),
                in[HcOpen::alpha].at(1), 4 * kEpsilon);
  const auto back =
      run(kHcOpenBackward, backward_inputs(in, out, open_gradients(s)), s.desc(), cpu);
  for (const double value : back[HcOpenBackward::dtheta].values()) EXPECT_NEAR(value, 0, 1e-5);
  for (const double value : back[HcOpenBackward::dx].values()) EXPECT_TRUE(std::isfinite(value));
}

// ---- Bits ----

TEST(Hc, ATokensBitsDoNotDependOnItsCompany) {
  const Size many{.tokens = 37, .width = 45, .n = 4};
  const auto in = open_inputs(many);
  const auto d = open_gradients(many);
  const RunOptions cpu{.device = Device::cpu};
  const auto all = run(kHcOpen, in, many.desc(), cpu);
  const auto all_back = run(kHcOpenBackward, backward_inputs(in, all, d), many.desc(), cpu);
  for (const int64_t t : {0, 3, 16, 35, 36}) {
    const std::vector<Tensor> alone = {row(in[0], t), in[1], in[2], in[3]};
    const auto one = run(kHcOpen, alone, many.desc(), cpu);
    for (size_t k = 0; k < one.size(); ++k)
      expect_same_bits(one[k], row(all[k], t), fmt::format("token {} output {}", t, k));
    std::vector<Tensor> rows;
    for (const Tensor& gradient : d) rows.push_back(row(gradient, t));
    const auto back = run(kHcOpenBackward, backward_inputs(alone, one, rows), many.desc(), cpu);
    expect_same_bits(back[0], row(all_back[0], t), fmt::format("token {} dx", t));
  }
}

TEST(Hc, EveryInstructionSetMatchesTheReference) {
  std::vector<Example> all;
  for (const Size s : {Size{3, 5, 2}, {19, 67, 4}, {2, 40, 8}, {3, 5, 4, false}}) add_open(all, s);
  on_other_instruction_sets([&] {
    for (Example& e : all) {
      e.differentiable = false;
      if (e.label.find("without") == std::string::npos) check_operator(e);
    }
  });
}

TEST(Hc, ANanOfAParameterShowsInEveryCoefficient) {
  const Size s{.tokens = 2, .width = 5, .n = 4};
  for (const int input : {HcOpen::theta, HcOpen::alpha, HcOpen::b}) {
    auto in = open_inputs(s);
    for (int64_t e = 0; e < in[size_t(input)].spec.count(); ++e) in[size_t(input)].set(e, NAN);
    const auto out = run(kHcOpen, in, s.desc(), {.device = Device::cpu});
    for (const int k : {HcOpen::h, HcOpen::post, HcOpen::res})
      for (const double value : out[size_t(k)].values()) EXPECT_TRUE(std::isnan(value)) << k;
  }
}

// ---- Costs and validation ----

// Everything is f32, so that bytes / 4 counts elements. hc moves as many elements of the residual
// streams as mHC.
TEST(Hc, MovesFourteenCForwardAndNineteenCBackward) {
  const int64_t tokens = 4096, width = 2560, n = 4, columns = 24, wide = n * width;
  const TensorSpec x = f32({tokens, wide}), h = f32({tokens, width}), post = f32({tokens, n}),
                   res = f32({tokens, n * n}), u = f32({tokens, columns}), rstd = f32({tokens, n}),
                   theta = f32({n + 2, width}), alpha = f32({3}), b = f32({columns});
  const HcDesc open{.n = int(n)};
  const StreamsDesc close{.n = int(n)};
  const double rows = double(tokens * width), parameters = double((n + 2) * width + 3 + columns);
  const double forward = unique_bytes(kHcOpen, {x, theta, alpha, b}, open) +
                         unique_bytes(kMhcClose, {x, h, post, res}, close);
  // post and res are written and read, u and rstd written; the parameters are read
  EXPECT_EQ(forward / 4, 14 * rows + double(tokens) * (2 * 20 + 28) + parameters);
  const double backward =
      unique_bytes(kMhcCloseBackward, {x, h, post}, close) +
      unique_bytes(kHcOpenBackward, {x, theta, alpha, b, u, rstd, h, x, post, {}}, open);
  // post read; dpost written and read; u and rstd read
  EXPECT_EQ(backward / 4, 19 * rows + double(tokens) * (4 + 2 * 4 + 28) + 2 * parameters);
}

TEST(Hc, RefusesWhatDoesNotFit) {
  const HcDesc desc{.n = 4};
  const std::vector<TensorSpec> open = {f32({2, 12}), f32({6, 3}), f32({3}), f32({24})};
  EXPECT_NO_THROW(kHcOpen.outputs(open, desc));
  EXPECT_THROW(kHcOpen.outputs(open, HcDesc{.n = 5}), InternalError);
  EXPECT_THROW(kHcOpen.outputs(open, HcDesc{.n = 0}), InternalError);
  EXPECT_THROW(kHcOpen.outputs(open, HcDesc{.n = 4, .eps = -1}), InternalError);
  auto back = open;
  for (const Shape& shape : {Shape{2, 24}, {2, 4}, {2, 3}, {2, 12}, {2, 4}, {2, 16}})
    back.push_back(f32(shape));
  EXPECT_NO_THROW(kHcOpenBackward.outputs(back, desc));
  for (const auto& [op, good] : {std::pair{&kHcOpen, open}, {&kHcOpenBackward, back}})
    for (size_t i = 0; i < good.size(); ++i) {
      auto wrong = good;
      wrong[i].shape.back() += 1;
      EXPECT_THROW(op->outputs(wrong, desc), InternalError) << op->name << " " << i;
    }
  // theta, alpha, u and rstd are all present or all absent
  for (const size_t i : {1, 2, 4, 5}) {
    auto half = back;
    half[i] = TensorSpec();
    EXPECT_THROW(kHcOpenBackward.outputs(half, desc), InternalError) << i;
  }
}

TEST(Hc, TheLinkIsAPrivateViewOfX) {
  const std::vector<TensorSpec> specs = {f32({1, 4}), f32({4, 2}), f32({3}), f32({8})};
  const auto out = kHcOpen.outputs(specs, HcDesc{.n = 2});
  EXPECT_EQ(out[HcOpen::link].view_of, int(HcOpen::x));
  EXPECT_TRUE(out[HcOpen::link].private_link);
  EXPECT_FALSE(out[HcOpen::res].saved);  // read by mhc_close and by telemetry
  EXPECT_TRUE(out[HcOpen::u].saved);
}

}  // namespace
}  // namespace birkhoff::testing
