#include "kernels/linear_cross_entropy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

using L = LinearCrossEntropy;
using O = LinearCrossEntropyLoss;

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
TensorSpec i32(Shape shape) { return {std::move(shape), DType::i32}; }

constexpr RunOptions kCpu{.device = Device::cpu, .threads = 2};

struct Size {
  int64_t tokens, vocabulary, width;
};

// Every fifth token is not counted.
Tensor targets_for(const Size& s) {
  Tensor target(i32({s.tokens}));
  for (int64_t t = 0; t < s.tokens; ++t)
    target.set(t, t % 5 == 3 ? -1 : double((t * 7919 + s.vocabulary - 1) % s.vocabulary));
  return target;
}

// h and w such that logits are about N(0, spread²).
std::vector<Tensor> scoring_inputs(const Size& s, double spread = 1) {
  return {random_tensor(f32({s.tokens, s.width}), "h", spread / std::sqrt(double(s.width))),
          random_tensor(f32({s.vocabulary, s.width}), "w"), targets_for(s)};
}
std::vector<Tensor> with_scale(std::vector<Tensor> in, double scale = 0.37) {
  in.push_back(Tensor(f32({1}), {scale}));
  return in;
}

std::vector<Example> examples_of(const Size& s) {
  const auto in = scoring_inputs(s);
  const std::string label = fmt::format("{}x{}x{}", s.tokens, s.vocabulary, s.width);
  return {{.op = &kLinearCrossEntropy,
           .inputs = in,
           .label = label,
           .stored = {L::h},
           .read_as_stored = {L::w}},
          // At a vocabulary of 1 the gradient is the difference of 1 and 1. Each dl is rounded to
          // bf16: a sum is off by at most 2^-8·Σ|terms|, and the terms sum to no more than four
          // times the largest result here. It is not differenced, since its gradient rule only
          // passes on an output.
          {.op = &kLinearCrossEntropyLoss,
           .inputs = with_scale(in),
           .label = label,
           .scale = 1,
           .differentiable = false,
           .stored = {O::h},
           .read_as_stored = {O::w},
           .stored_tolerance = 4}};
}

std::vector<Example> cross_entropy_examples() {
  std::vector<Example> all;
  for (const Size& s : {Size{1, 1, 1}, {3, 2, 5}, {7, 19, 3}, {5, 257, 4}})
    for (Example& e : examples_of(s)) all.push_back(std::move(e));
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(LinearCrossEntropy, cross_entropy_examples)

// More than one tile, segment and chunk in each direction.
TEST(LinearCrossEntropy, LargerSizesMatchReference) {
  for (const Size& s : {Size{517, 257, 9}, {13, 6500, 5}, {67, 401, 33}, {1100, 17, 3}})
    for (Example& e : examples_of(s)) {
      e.differentiable = false;
      e.tolerance = 64;  // dw sums 500 tokens, 100 of them of one class
      check_operator(e);
    }
}

// dh and dw match the central differences of Σ scale·nll, in double on the reference device. The
// error of the differences is of order step² = 1e-8, plus 1e-16 / step of rounding.
TEST(LinearCrossEntropy, LossComesWithItsGradients) {
  const auto in = scoring_inputs({7, 19, 3});
  const double scale = 0.37, step = 1e-4;
  std::vector<Tensor> inputs = in_double({in[L::h], in[L::w], in[L::target]});
  inputs.push_back(Tensor({{1}, DType::f64}, {scale}));
  const auto loss = [&] {
    double sum = 0;
    for (const double nll : run(kLinearCrossEntropyLoss, inputs, {})[O::nll].values())
      sum += scale * nll;
    return sum;
  };
  const auto got = run(kLinearCrossEntropyLoss, inputs, {});
  for (const auto& [input, output] : {std::pair<int, int>{O::h, O::dh}, {O::w, O::dw}})
    for (int64_t i = 0; i < inputs[size_t(input)].spec.count(); ++i) {
      Tensor& x = inputs[size_t(input)];
      const double at = x.at(i);
      x.set(i, at + step);
      const double above = loss();
      x.set(i, at - step);
      const double below = loss();
      x.set(i, at);
      EXPECT_NEAR(got[size_t(output)].at(i), (above - below) / (2 * step), 1e-7) << output << i;
    }
}

// A vocabulary of 129280 (DeepSeek-V3), compared with sums in double computed here rather than in
// the reference.
TEST(LinearCrossEntropy, LargeVocabularyMatchesBruteForce) {
  const Size s{6, 129280, 4};
  const double scale = 0.37;
  const auto in = scoring_inputs(s, 3);
  const auto scored = run(kLinearCrossEntropy, in, {}, kCpu);
  const auto d = run(kLinearCrossEntropyLoss, with_scale(in, scale), {}, kCpu);
  const auto h = in[L::h].values(), w = in[L::w].values();
  std::vector<double> dw(w.size());
  for (int64_t t = 0; t < s.tokens; ++t) {
    std::vector<double> e(static_cast<size_t>(s.vocabulary)), dh(static_cast<size_t>(s.width));
    double sum = 0, at_target = 0;
    const int64_t target = int64_t(in[L::target].at(t));
    for (int64_t v = 0; v < s.vocabulary; ++v) {
      double l = 0;
      for (int64_t c = 0; c < s.width; ++c)
        l += h[size_t(t * s.width + c)] * w[size_t(v * s.width + c)];
      if (v == target) at_target = l;
      sum += e[size_t(v)] = std::exp(l);  // logits of ±20: no overflow in double
    }
    // f32 logits of size 20 and a sum of 129280 terms in blocks of 24: a few units of 2^-20.
    const double nll = target < 0 ? 0 : std::log(sum) - at_target;
    EXPECT_NEAR(scored[L::nll].at(t), nll, 1e-5);
    EXPECT_NEAR(d[O::nll].at(t), nll, 1e-5);
    for (int64_t v = 0; v < s.vocabulary; ++v) {
      const double dl = target < 0 ? 0 : scale * (e[size_t(v)] / sum - (v == target));
      for (int64_t c = 0; c < s.width; ++c) {
        dh[size_t(c)] += dl * w[size_t(v * s.width + c)];
        dw[size_t(v * s.width + c)] += dl * h[size_t(t * s.width + c)];
      }
    }
    for (int64_t c = 0; c < s.width; ++c)
      EXPECT_NEAR(d[O::dh].at(t * s.width + c), dh[size_t(c)], 3e-5) << t << "," << c;
  }
  for (size_t i = 0; i < dw.size(); ++i) ASSERT_NEAR(d[O::dw].at(int64_t(i)), dw[i], 3e-6) << i;
}

// nll by both operators.
std::vector<Tensor> both(const std::vector<Tensor>& in, double scale = 1) {
  return {run(kLinearCrossEntropy, in, {}, kCpu)[L::nll],
          run(kLinearCrossEntropyLoss, with_scale(in, scale), {}, kCpu)[O::nll]};
}

// Known answers: equal logits give log V; a certain row gives 0.
TEST(LinearCrossEntropy, KnownAnswers) {
  const Tensor h(f32({2, 1}), {0, 50}), w(f32({4, 1}), {1, 0, -1, -2});
  for (const Tensor& nll : both({h, w, Tensor(i32({2}), {2, 0})})) {
    EXPECT_NEAR(nll.at(0), std::log(4.0), 1e-6);
    EXPECT_EQ(nll.at(1), 0);
  }
}

// Logits of ±1e4: exact probabilities 0 and 1, nothing overflows.
TEST(LinearCrossEntropy, HugeLogitsStayFinite) {
  const Tensor h(f32({4, 1}), {1e4, -1e4, 1e4, -1e4}), w(f32({3, 1}), {1, 0, -1});
  const Tensor target(i32({4}), {0, 0, 2, 1});
  for (const Tensor& nll : both({h, w, target}))
    EXPECT_THAT(nll.values(), ::testing::ElementsAre(0, 2e4, 2e4, 1e4));
  const auto d = run(kLinearCrossEntropyLoss, with_scale({h, w, target}, 1), {}, kCpu);
  // Rows: (1,0,0) − target one-hot and so on; dh = dl·w, dw = dlᵀ·h.
  EXPECT_THAT(d[O::dh].values(), ::testing::ElementsAre(0, -2, 2, -1));
  EXPECT_THAT(d[O::dw].values(), ::testing::ElementsAre(2e4, 1e4, -3e4));
}

// Uncounted rows add nothing, whatever they hold. With scale 0, no row adds anything.
TEST(LinearCrossEntropy, UncountedRowsAddExactlyNothing) {
  const Size s{37, 61, 11};
  auto in = scoring_inputs(s);
  const auto clean = run(kLinearCrossEntropyLoss, with_scale(in), {}, kCpu);
  for (int64_t t = 0; t < s.tokens; ++t)
    for (int64_t c = 0; in[L::target].at(t) < 0 && c < s.width; ++c)
      in[L::h].set(t * s.width + c, c % 2 ? 1e38 : -1e38);
  const auto dirty = run(kLinearCrossEntropyLoss, with_scale(in), {}, kCpu);
  for (const int k : {O::nll, O::dh, O::dw}) expect_same_bits(dirty[k], clean[k], "dirty");
  for (int64_t c = 0; c < s.width; ++c) EXPECT_EQ(clean[O::dh].at(3 * s.width + c), 0);
  const auto none = run(kLinearCrossEntropyLoss, with_scale(in, 0), {}, kCpu);
  for (const int k : {O::dh, O::dw})
    for (const double x : none[size_t(k)].values()) EXPECT_EQ(x, 0);
}

TEST(LinearCrossEntropy, RowsDoNotDependOnHowManyThereAre) {
  const Size s{600, 803, 33};
  const auto in = scoring_inputs(s);
  const auto all = run(kLinearCrossEntropy, in, {}, kCpu);
  const auto loss = run(kLinearCrossEntropyLoss, with_scale(in), {}, kCpu);
  const auto cut = [](const Tensor& t, int64_t rows) {
    Shape shape = t.spec.shape;
    shape[0] = rows;
    Tensor out({shape, t.spec.dtype});
    std::copy_n(t.bytes.begin(), out.bytes.size(), out.bytes.begin());
    return out;
  };
  for (const int64_t n : {1, 2, 3, 5, 8, 64, 65, 257, 513}) {
    const std::vector<Tensor> some_in = {cut(in[L::h], n), in[L::w], cut(in[L::target], n)};
    const auto some = run(kLinearCrossEntropy, some_in, {}, kCpu);
    expect_same_bits(some[L::nll], cut(all[L::nll], n), fmt::format("nll of {}", n));
    const auto some_loss = run(kLinearCrossEntropyLoss, with_scale(some_in), {}, kCpu);
    for (const int k : {O::nll, O::dh})
      expect_same_bits(some_loss[size_t(k)], cut(loss[size_t(k)], n),
                       fmt::format("{} of {}", k, n));
  }
}

void expect_not_finite_is_seen(DType storage) {
  const Size s{5, 301, 7};
  const auto inputs = [&] {
    auto in = scoring_inputs(s);
    in[L::h] = Tensor({in[L::h].spec.shape, storage}, in[L::h].values());
    return in;
  };
  auto in = inputs();
  const auto clean = both(in);
  in[L::h].set(2 * 7 + 3, std::numeric_limits<double>::quiet_NaN());
  const auto rows = both(in);
  for (const size_t k : {0, 1})
    for (int64_t t = 0; t < s.tokens; ++t)
      if (t == 2)
        EXPECT_TRUE(std::isnan(rows[k].at(t)));
      else
        EXPECT_EQ(rows[k].at(t), clean[k].at(t));
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), 3e38})
    for (const int64_t of_class : {7, 300}) {  // in whole vectors and in the remainder
      in = inputs();
      for (int64_t c = 0; c < s.width; ++c) in[L::h].set(c, 100);
      for (int64_t c = 0; c < s.width; ++c) in[L::w].set(of_class * s.width + c, bad);
      in[L::target].set(0, 5);  // so that nll does not show it by itself
      for (const Tensor& nll : both(in))
        EXPECT_TRUE(std::isnan(nll.at(0))) << bad << " in class " << of_class;
    }
}

// A NaN must not pass for a probability of 0, wherever it is, and must leave other rows unchanged.
TEST(LinearCrossEntropy, NotFiniteLogitsAreSeen) {
  for (const DType storage : {DType::f32, DType::bf16}) {
    SCOPED_TRACE(name_of(storage));
    expect_not_finite_is_seen(storage);
  }
}

// If only one of the outputs is wanted, the others are skipped, and the result is the same.
TEST(LinearCrossEntropy, UnwantedOutputsAreSkipped) {
  const auto in = with_scale(scoring_inputs({9, 33, 5}));
  const auto all = run(kLinearCrossEntropyLoss, in, {}, kCpu);
  ThreadTeam team(2);
  std::vector<TensorSpec> specs;
  std::vector<Operand> operands;
  for (const Tensor& t : in) specs.push_back(t.spec);
  for (size_t i = 0; i < in.size(); ++i) operands.push_back({&specs[i], in[i].bytes.data()});
  const auto outputs = kLinearCrossEntropyLoss.outputs(specs, {});
  const Workspace w = workspace(kLinearCrossEntropyLoss, specs, {}, {});
  const size_t stride = (w.per_thread + 63) / 64 * 64;
  std::vector<float> shared(w.shared / sizeof(float) + 1);
  std::vector<std::byte> threads(2 * stride + 64);
  auto* aligned = threads.data() + (64 - reinterpret_cast<uintptr_t>(threads.data()) % 64) % 64;
  Context context{.team = &team,
                  .shared_workspace = reinterpret_cast<std::byte*>(shared.data()),
                  .thread_workspaces = aligned,
                  .thread_stride = stride};
  const Desc none;
  for (const size_t wanted : {O::nll, O::dh, O::dw}) {
    Tensor made(outputs[wanted].spec);
    std::vector<Result> results;
    for (const Output& o : outputs) results.push_back({&o.spec});
    results[wanted].data = made.bytes.data();
    implementation(kLinearCrossEntropyLoss, specs, {}, {})
        ->run(Args{operands, results, &none, &context});
    expect_same_bits(made, all[wanted], fmt::format("output {}", wanted));
  }
}

TEST(LinearCrossEntropy, TargetsOutsideTheVocabularyAreNamed) {
  for (const double bad : {-2, 19}) {
    auto in = scoring_inputs({7, 19, 3});
    in[L::target].set(4, bad);
    const auto names = [&](const Operator& op, const std::vector<Tensor>& inputs) {
      try {
        run(op, inputs, {}, kCpu);
        ADD_FAILURE() << op.name << " accepted " << bad;
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(),
                    ::testing::HasSubstr(fmt::format(
                        "target {} at position 4 is outside the vocabulary of 19", int64_t(bad))));
      }
    };
    names(kLinearCrossEntropy, in);
    names(kLinearCrossEntropyLoss, with_scale(in));
  }
}

TEST(LinearCrossEntropy, RefusesShapesThatDoNotMatch) {
  const auto refuses = [](const Operator& op, std::vector<TensorSpec> specs) {
    EXPECT_THROW(op.outputs(specs, {}), InternalError);
  };
  refuses(kLinearCrossEntropy, {f32({3, 5}), f32({7, 4}), i32({3})});
  refuses(kLinearCrossEntropy, {f32({3, 5}), f32({7, 5}), i32({2})});
  refuses(kLinearCrossEntropyLoss, {f32({3, 5}), f32({7, 5}), i32({2}), f32({1})});
  refuses(kLinearCrossEntropyLoss, {f32({3, 5}), f32({7, 5}), i32({3}), f32({3})});
}

}  // namespace
}  // namespace birkhoff::testing
