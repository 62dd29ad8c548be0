#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/instruction_sets.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

struct Case {
  int64_t sequences, sequence, heads, width, value;
  int64_t document = 0;  // > 0: a document begins at every multiple of it, counting all tokens
  double size = 1;       // scale of q and k
  int64_t window = 0;    // > 0: the most keys that a token sees
  double scale = 0;      // 0: 1 / √width
  int64_t tokens() const { return sequences * sequence; }
  Attention::Desc desc() const {
    return {.heads = heads,
            .sequence = sequence,
            .scale = scale > 0 ? scale : 1 / std::sqrt(double(width))};
  }
};

Tensor first_keys(const Case& c) {
  Tensor first({{c.tokens()}, DType::i32});
  for (int64_t t = 0; t < c.tokens(); ++t) {
    const int64_t sequence = t / c.sequence * c.sequence;
    const int64_t document = c.document ? t / c.document * c.document : 0;
    const int64_t window = c.window ? t - c.window + 1 : 0;
    first.set(t, double(std::max({sequence, document, window})));
  }
  return first;
}

std::vector<Tensor> inputs_of(const Case& c, DType storage = DType::f32) {
  const TensorSpec keys{{c.tokens(), c.heads * c.width}, storage};
  return {random_tensor(keys, "q", c.size), random_tensor(keys, "k", c.size),
          random_tensor({{c.tokens(), c.heads * c.value}, storage}, "v"), first_keys(c)};
}

std::vector<Tensor> backward_inputs(const std::vector<Tensor>& in, const std::vector<Tensor>& out) {
  return {random_tensor(in[Attention::v].spec, "do"),
          in[Attention::q],
          in[Attention::k],
          in[Attention::v],
          out[Attention::o],
          out[Attention::lse],
          in[Attention::first_key]};
}

double inner(const Tensor& a, int64_t at_a, const Tensor& b, int64_t at_b, int64_t width) {
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += a.at(at_a + i) * b.at(at_b + i);
  return sum;
}

// Where pairs of bf16 are multiplied, the factors p and ds are rounded: each is off by δ ≤ 2^-8 of
// itself, in addition to what the harness allows. The functions below bound the effect on each
// element, by the formulas in fp64; terms of second order in 2^-8 are below a 64th of these bounds.
constexpr double kFactorRounding = (1 + 1.0 / 64) / 256;

// The weights p(1 + δ) of o are divided by their own sum: |o' − o| = |Σ δ·p·(v − o)| / Σ p(1 + δ),
// at most 2^-8·Σ p·|v − o|. lse does not depend on the rounding of p.
std::vector<Tensor> rounding_bounds(const Case& c, const std::vector<Tensor>& in) {
  using A = Attention;
  const auto exact = run(kAttention, in_double(in), c.desc());
  Tensor o(exact[A::o].spec, std::vector<double>(size_t(exact[A::o].spec.count()), 0));
  for (int64_t t = 0; t < c.tokens(); ++t)
    for (int64_t h = 0; h < c.heads; ++h)
      for (auto j = int64_t(in[A::first_key].at(t)); j <= t; ++j) {
        const int64_t query = t * c.heads + h, key = j * c.heads + h;
        const double s = inner(in[A::q], query * c.width, in[A::k], key * c.width, c.width);
        const double p = std::exp(c.desc().scale * s - exact[A::lse].at(query));
        for (int64_t i = query * c.value; i < (query + 1) * c.value; ++i) {
          const double v = in[A::v].at(key * c.value + i - query * c.value);
          o.set(i, o.at(i) + kFactorRounding * p * std::abs(v - exact[A::o].at(i)));
        }
      }
  return {o, Tensor()};
}

// |dq' − dq| ≤ 2^-8·Σ |ds|·|k|, and likewise for dk with |ds|·|q| and dv with p·|do|.
std::vector<Tensor> backward_rounding_bounds(const Case& c, const std::vector<Tensor>& in) {
  using B = AttentionBackward;
  std::vector<Tensor> bounds;
  for (const int i : {B::q, B::k, B::v})
    bounds.push_back(
        Tensor({in[i].spec.shape, DType::f64}, std::vector<double>(size_t(in[i].spec.count()), 0)));
  const auto add = [&](int output, int64_t at, double weight, int input, int64_t from,
                       int64_t width) {
    for (int64_t i = 0; i < width; ++i)
      bounds[output].set(at + i, bounds[output].at(at + i) + kFactorRounding * std::abs(weight) *
                                                                 std::abs(in[input].at(from + i)));
  };
  const double scale = c.desc().scale;
  for (int64_t t = 0; t < c.tokens(); ++t)
    for (int64_t h = 0; h < c.heads; ++h) {
      const int64_t q = (t * c.heads + h) * c.width, o = (t * c.heads + h) * c.value;
      const double delta = inner(in[B::d_o], o, in[B::o], o, c.value);
      for (auto j = int64_t(in[B::first_key].at(t)); j <= t; ++j) {
        const int64_t k = (j * c.heads + h) * c.width, v = (j * c.heads + h) * c.value;
        const double p = std::exp(scale * inner(in[B::q], q, in[B::k], k, c.width) -
                                  in[B::lse].at(t * c.heads + h));
        const double ds = scale * p * (inner(in[B::d_o], o, in[B::v], v, c.value) - delta);
        add(B::dq, q, ds, B::k, k, c.width);
        add(B::dk, k, ds, B::q, q, c.width);
        add(B::dv, v, p, B::d_o, o, c.value);
      }
    }
  return bounds;
}

std::vector<Tensor> rounded(std::vector<Tensor> inputs, const std::vector<int>& stored) {
  for (const int i : stored) inputs[size_t(i)] = inputs[size_t(i)].as(DType::bf16);
  return inputs;
}

// One token, primes, blocks of 64 filled exactly, one more, and many more; also sequences with
// documents whose borders are within and between blocks.
const Case kCases[] = {{1, 1, 1, 1, 1},          {5, 1, 2, 6, 3},           {2, 7, 2, 5, 3},
                       {1, 64, 1, 16, 8},        {2, 65, 1, 24, 17},        {1, 37, 3, 12, 20, 5},
                       {2, 11, 2, 4, 3, 4},      {1, 66, 1, 192, 128},      {2, 100, 1, 7, 33, 43},
                       {1, 300, 1, 48, 34, 128}, {1, 90, 1, 6, 5, 0, 1, 21}};

std::vector<Example> attention_examples() {
  std::vector<Example> all;
  for (const Case& c : kCases) {
    const auto in = inputs_of(c);
    const auto out = run(kAttention, in, c.desc());
    const std::string label = fmt::format("{} of {}, {} heads {}/{}, documents {}", c.sequences,
                                          c.sequence, c.heads, c.width, c.value, c.document);
    const std::vector<int> stored = {Attention::q, Attention::k, Attention::v};
    all.push_back({.op = &kAttention,
                   .inputs = in,
                   .desc = c.desc(),
                   .label = label,
                   .differentiable = c.tokens() * c.heads * c.width < 1000,
                   .stored = stored,
                   .stored_bounds = rounding_bounds(c, rounded(in, stored))});
    using B = AttentionBackward;
    const std::vector<int> stored_back = {B::d_o, B::q, B::k, B::v, B::o};
    const auto back = backward_inputs(in, out);
    all.push_back({.op = &kAttentionBackward,
                   .inputs = back,
                   .desc = c.desc(),
                   .label = label,
                   .tolerance = 64,  // dk and dv sum up to 300 queries
                   .scale = 1,       // a single token's dq and dk are 0
                   .stored = stored_back,
                   .stored_bounds = backward_rounding_bounds(c, rounded(back, stored_back))});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Attention, attention_examples)

// Textbook softmax in double, with a mask that is evaluated pair by pair.
std::vector<double> brute_force(const Case& c, const std::vector<Tensor>& in) {
  std::vector<double> o;
  for (int64_t t = 0; t < c.tokens(); ++t)
    for (int64_t h = 0; h < c.heads; ++h) {
      std::vector<double> weight(size_t(c.tokens()), 0);
      double sum = 0;
      for (int64_t j = 0; j < c.tokens(); ++j) {
        const bool same_sequence = t / c.sequence == j / c.sequence;
        const bool same_document = !c.document || t / c.document == j / c.document;
        const bool within = !c.window || t - j < c.window;
        if (j > t || !same_sequence || !same_document || !within) continue;
        double score = 0;
        for (int64_t i = 0; i < c.width; ++i)
          score +=
              in[0].at((t * c.heads + h) * c.width + i) * in[1].at((j * c.heads + h) * c.width + i);
        sum += weight[size_t(j)] = std::exp(score / std::sqrt(double(c.width)));
      }
      for (int64_t i = 0; i < c.value; ++i) {
        double mean = 0;
        for (int64_t j = 0; j < c.tokens(); ++j)
          mean += weight[size_t(j)] / sum * in[2].at((j * c.heads + h) * c.value + i);
        o.push_back(mean);
      }
    }
  return o;
}

TEST(Attention, AgreesWithBruteForce) {
  std::vector<Case> cases(std::begin(kCases), std::end(kCases));
  cases.push_back({1, 4096, 1, 2, 1});
  for (const Case& c : cases) {
    const auto in = inputs_of(c);
    const auto got = run(kAttention, in, c.desc(), {.device = Device::cpu})[0];
    // o is a mean of values of about 1, whose weights are off by as much as the scores, a few
    // epsilons.
    expect_close(got, Tensor({got.spec.shape, DType::f64}, brute_force(c, in)), 64 * 1.2e-7,
                 fmt::format("{} of {}", c.sequences, c.sequence));
  }
}

// Checks element by element, as in the harness, that |got − want| ≤ bound + 2^-8·|want| (if bf16) +
// the bound `between` for rounded factors (if not empty).
void expect_rounded(const Tensor& got, const Tensor& want, double bound, const Tensor& between,
                    const std::string& what) {
  const double half = got.spec.dtype == DType::bf16 ? 1.0 / 256 : 0;
  for (int64_t i = 0; i < want.spec.count(); ++i) {
    const double most =
        bound + half * std::abs(want.at(i)) + (between.bytes.empty() ? 0 : between.at(i));
    ASSERT_LE(std::abs(got.at(i) - want.at(i)), most)
        << what << " at " << i << ": got " << got.at(i) << ", want " << want.at(i);
  }
}

// Compares forward and backward of the bodies in use with fp64.
void expect_agreement(const Case& c, DType storage) {
  const std::string what =
      fmt::format("{} of {}, {} heads {}/{}, documents {}, window {}", c.sequences, c.sequence,
                  c.heads, c.width, c.value, c.document, c.window);
  const auto in = inputs_of(c, storage);
  const auto back = backward_inputs(in, run(kAttention, in, c.desc()));
  const bool pairs = storage == DType::bf16 && host_features().avx512_bf16;
  const auto bounds = pairs ? rounding_bounds(c, in) : std::vector<Tensor>(2);
  const auto back_bounds = pairs ? backward_rounding_bounds(c, back) : std::vector<Tensor>(3);
  const auto want = run(kAttention, in_double(in), c.desc());
  const auto got = run(kAttention, in, c.desc(), {.device = Device::cpu});
  for (int k = 0; k < 2; ++k)
    expect_rounded(got[k], want[k], 1e-5, bounds[k], fmt::format("{}: output {}", what, k));
  const auto want_back = run(kAttentionBackward, in_double(back), c.desc());
  const auto got_back = run(kAttentionBackward, back, c.desc(), {.device = Device::cpu});
  for (int k = 0; k < 3; ++k)
    expect_rounded(got_back[k], want_back[k], 1e-4, back_bounds[k],
                   fmt::format("{}: gradient {}", what, k));
}

// Checks every instruction set that this machine has, not only its best.
TEST(Attention, EveryInstructionSetAgrees) {
  const auto check = [] {
    for (const DType storage : {DType::f32, DType::bf16})
      for (const Case& c : {Case{2, 70, 2, 13, 11, 29}, {1, 140, 1, 8, 6, 0, 1, 37}})
        expect_agreement(c, storage);
  };
  check();
  on_other_instruction_sets(check);
}

// Pairs of bf16 are multiplied in tiles of 8 rows and vectors of 16, in stripes of 48 keys, and in
// blocks of 512 queries and keys (forward) or 128 queries and 256 keys (backward). The cases have
// sequences, documents and windows that end one before, at and one after the borders of these.
TEST(Attention, AgreesAtTheBordersOfBlocks) {
  for (const Case& c : {Case{3, 15, 1, 33, 31},
                        {2, 48, 1, 64, 48},
                        {2, 49, 1, 31, 49},
                        {1, 127, 1, 17, 80},
                        {1, 129, 2, 95, 63, 43},
                        {1, 144, 1, 96, 64, 0, 1, 50},
                        {1, 255, 1, 5, 3},
                        {1, 257, 1, 4, 2, 131},
                        {1, 385, 1, 6, 7, 0, 1, 129},
                        {2, 511, 1, 3, 2},
                        {1, 513, 1, 3, 4, 0},
                        {1, 513, 1, 5, 3, 0, 1, 256},
                        {1, 1030, 1, 3, 2, 0},
                        {2, 700, 1, 2, 3, 515},
                        {1, 1100, 1, 2, 2, 0, 1, 511},
                        {1, 1100, 1, 2, 2, 0, 1, 1},
                        {1, 1030, 1, 4, 3, 0, 2}})
    expect_agreement(c, DType::bf16);
}

// The mean of equal values is that value, because o is divided by the sum of the rounded p. p is 1
// for the first key and 0.5019 for all others, which bf16 rounds to 0.5: if o were divided by the
// sum of the unrounded p, it would be too small by 2^-8 of itself, an ulp of these values.
TEST(Attention, WeightsSumToOne) {
  const auto check = [] {
    const double others = 0.5019, value = 2 - 1.0 / 128;
    const Case c{1, 600, 1, 1, 5, 0, 1, 0, -std::log(others)};
    auto in = inputs_of(c, DType::bf16);
    for (int64_t t = 0; t < c.tokens(); ++t) in[0].set(t, 1), in[1].set(t, t ? -1 : 0);
    for (int64_t i = 0; i < in[2].spec.count(); ++i) in[2].set(i, value);
    const auto o = run(kAttention, in, c.desc(), {.device = Device::cpu})[0];
    for (int64_t i = 0; i < o.spec.count(); ++i) ASSERT_EQ(o.at(i), value) << i;
  };
  check();
  on_other_instruction_sets(check);
}

// Scores of exactly −1e4, −5e3, … 1e4, with the largest in late blocks. The softmax becomes a hard
// choice, and its gradients must be finite.
const Case kFarApart{1, 130, 1, 2, 3, 0, 1, 0, 1};

std::vector<Tensor> scores_far_apart(DType storage) {
  auto in = inputs_of(kFarApart, storage);
  for (int64_t t = 0; t < kFarApart.tokens(); ++t)
    for (int64_t i = 0; i < 2; ++i) {
      in[0].set(2 * t + i, i ? 0 : 100);
      in[1].set(2 * t + i, i ? 0 : 100 * (double(std::min(t * 7 % 5, 2 + t / 40)) - 2) / 2);
    }
  return in;
}

TEST(Attention, ScoresFarApartStayFinite) {
  const auto in = scores_far_apart(DType::f32);
  const Attention::Desc desc = kFarApart.desc();
  const auto want = run(kAttention, in_double(in), desc);
  const auto got = run(kAttention, in, desc, {.device = Device::cpu});
  expect_close(got[0], want[0], 64 * 1.2e-7, "o");
  expect_close(got[1], want[1], 1e4 * 2.4e-7, "lse");
  const auto want_back = run(kAttentionBackward, in_double(backward_inputs(in, want)), desc);
  const auto back =
      run(kAttentionBackward, backward_inputs(in, got), desc, {.device = Device::cpu});
  // p = exp(s − lse), and an lse near 1e4 is accurate to half an ulp, 5e-4. So all p of a query
  // have the same relative error of at most 1e-3 (the subtraction rounds again), and so do its ds.
  const double largest[] = {1, 302, 2.2};  // of dq (which cancels to 0), dk, dv
  for (int k = 0; k < 3; ++k)
    expect_close(back[k], want_back[k], 1e-3 * largest[k], fmt::format("output {}", k));
}

TEST(Attention, ScoresFarApartStayFiniteInBf16) {
  const auto check = [] {
    const auto in = scores_far_apart(DType::bf16);
    const Attention::Desc desc = kFarApart.desc();
    const auto want = run(kAttention, in_double(in), desc);
    const auto got = run(kAttention, in, desc, {.device = Device::cpu});
    // The nonzero p of a query are 1 or equal to each other, so their rounding cancels in o.
    expect_rounded(got[0], want[0], 64 * 1.2e-7, Tensor(), "o");
    expect_rounded(got[1], want[1], 1e4 * 2.4e-7, Tensor(), "lse");
    // For the given lse, p = 2^(s·a − lse·b) is off by the roundings of a, b and lse·b, 2^-24 of
    // 1e4 each, and of the difference: 2e-3 of itself, half of 2^-8. ds is off by as much.
    const auto back = backward_inputs(in, got);
    auto bounds = backward_rounding_bounds(kFarApart, back);
    for (Tensor& bound : bounds)
      for (int64_t i = 0; i < bound.spec.count(); ++i) bound.set(i, 1.5 * bound.at(i));
    const auto want_back = run(kAttentionBackward, in_double(back), desc);
    const auto got_back = run(kAttentionBackward, back, desc, {.device = Device::cpu});
    for (int k = 0; k < 3; ++k)
      expect_rounded(got_back[k], want_back[k], 1e-4, bounds[k], fmt::format("gradient {}", k));
  };
  check();
  on_other_instruction_sets(check);
}

// Poisons a token's key, value or both, and checks that exactly the tokens that see it change.
void expect_no_token_sees_beyond(const Case& c, const std::vector<int64_t>& poisoned,
                                 DType storage) {
  const auto in = inputs_of(c, storage);
  const auto clean = run(kAttention, in, c.desc(), {.device = Device::cpu});
  const auto check_poisoned = [&](double poison, bool key, bool value, int64_t at) {
    auto bad = in;
    for (int64_t i = 0; key && i < c.width; ++i) bad[1].set(at * c.width + i, poison);
    for (int64_t i = 0; value && i < c.value; ++i) bad[2].set(at * c.value + i, poison);
    const auto got = run(kAttention, bad, c.desc(), {.device = Device::cpu});
    for (int64_t t = 0; t < c.tokens(); ++t) {
      const bool sees = int64_t(in[3].at(t)) <= at && at <= t;
      bool same = got[1].at(t) == clean[1].at(t);
      for (int64_t i = 0; i < c.value; ++i)
        same = same && got[0].at(t * c.value + i) == clean[0].at(t * c.value + i);
      ASSERT_EQ(same, !sees) << poison << " at " << at << ", token " << t;
      if (sees && std::isnan(poison)) {
        ASSERT_TRUE(std::isnan(got[0].at(t * c.value))) << t;
      }
    }
  };
  for (const double poison :
       {std::numeric_limits<double>::quiet_NaN(), 1e30, std::numeric_limits<double>::infinity()})
    for (const int64_t at : poisoned)
      for (const int what : {1, 2, 3}) check_poisoned(poison, what & 1, what & 2, at);
}

TEST(Attention, NoTokenSeesALaterKeyOrAnotherDocument) {
  const auto check = [] {
    for (const DType storage : {DType::f32, DType::bf16})
      expect_no_token_sees_beyond({2, 150, 1, 9, 5, 70},
                                  {0, 3, 63, 64, 69, 70, 149, 150, 213, 280, 299}, storage);
  };
  check();
  on_other_instruction_sets(check);
  for (const Case& c : {Case{1, 600, 1, 9, 17, 515}, {1, 530, 1, 3, 20, 0, 1, 77}})
    expect_no_token_sees_beyond(c, {0, 47, 48, 433, 434, 511, 512, 514, 515, 516, 529},
                                DType::bf16);
}

// Checks that NaN in one document reaches no gradient of another but shows in its own.
void expect_gradients_stay(const Case& c, int64_t from, int64_t to, DType storage) {
  const auto in = inputs_of(c, storage);
  const auto back = backward_inputs(in, run(kAttention, in, c.desc(), {.device = Device::cpu}));
  const auto clean = run(kAttentionBackward, back, c.desc(), {.device = Device::cpu});
  for (int poisoned = 0; poisoned < 6; ++poisoned) {
    auto bad = back;
    const int64_t width = bad[poisoned].spec.shape[1];
    for (int64_t i = from * width; i < to * width; ++i)
      bad[poisoned].set(i, std::numeric_limits<double>::quiet_NaN());
    const auto got = run(kAttentionBackward, bad, c.desc(), {.device = Device::cpu});
    for (int k = 0; k < 3; ++k) {
      const int64_t row = got[k].spec.shape[1];
      for (int64_t i = 0; i < got[k].spec.count(); ++i) {
        const bool inside = from <= i / row && i / row < to;
        if (!inside) {
          ASSERT_EQ(got[k].at(i), clean[k].at(i)) << poisoned << " output " << k << " at " << i;
        }
      }
      const bool depends =
          k < 2 || (poisoned != AttentionBackward::v && poisoned != AttentionBackward::o);
      if (depends) {
        EXPECT_TRUE(std::isnan(got[k].at(from * row))) << poisoned << " output " << k;
      }
    }
  }
}

TEST(Attention, GradientsStayInTheirDocument) {
  const auto check = [] {  // poisons tokens 140 … 149, the last document of the first sequence
    for (const DType storage : {DType::f32, DType::bf16})
      expect_gradients_stay({2, 150, 1, 9, 5, 70}, 140, 150, storage);
  };
  check();
  on_other_instruction_sets(check);
  for (const int64_t document : {127, 257})
    expect_gradients_stay({1, 600, 1, 9, 17, document}, document, 2 * document, DType::bf16);
}

TEST(Attention, UnwantedOutputsAreSkipped) {
  const Case c{1, 70, 2, 6, 5};
  const auto in = inputs_of(c);
  const auto out = run(kAttention, in, c.desc());
  const auto back = backward_inputs(in, out);
  const auto all = run(kAttentionBackward, back, c.desc(), {.device = Device::cpu});
  std::vector<TensorSpec> specs;
  for (const Tensor& t : back) specs.push_back(t.spec);
  const Workspace w = workspace(kAttentionBackward, specs, c.desc(), {});
  std::vector<std::byte> memory(w.per_thread + 64);
  void* aligned = memory.data();
  size_t space = memory.size();
  ASSERT_NE(std::align(64, w.per_thread, aligned, space), nullptr);
  ThreadTeam team(1);
  Context context{.team = &team, .thread_workspaces = static_cast<std::byte*>(aligned)};
  for (int wanted = 0; wanted < 3; ++wanted) {
    std::vector<Operand> operands;
    for (const Tensor& t : back) operands.push_back({&t.spec, t.bytes.data()});
    Tensor made(all[wanted].spec);
    std::vector<Result> results;
    for (int k = 0; k < 3; ++k)
      results.push_back({&all[k].spec, k == wanted ? made.bytes.data() : nullptr});
    const Desc desc = c.desc();
    implementation(kAttentionBackward, specs, desc, {})->run({operands, results, &desc, &context});
    expect_same_bits(made, all[wanted], fmt::format("only output {}", wanted));
  }
}

TEST(Attention, CostCountsTheCausalHalf) {
  // 3 sequences of 4 tokens have 3·10 pairs; 2 heads, widths 5 and 7.
  const std::vector<TensorSpec> in = {
      f32({12, 10}), f32({12, 10}), f32({12, 14}), {{12}, DType::i32}};
  const Attention::Desc desc{.heads = 2, .sequence = 4};
  EXPECT_EQ(kAttention.flops(in, desc), 2 * 30 * 2 * (5 + 7));
  const std::vector<TensorSpec> back = {in[2], in[0], in[1], in[2], in[2], f32({12, 2}), in[3]};
  EXPECT_EQ(kAttentionBackward.flops(back, desc), 2 * 30 * 2 * (3 * 5 + 2 * 7));
  EXPECT_LT(workspace(kAttention, in, desc, {}).per_thread, 64u << 10);
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const auto ask = [](Shape q, Shape k, Shape v, Attention::Desc desc) {
    const std::vector<TensorSpec> in = {f32(q), f32(k), f32(v), {{q[0]}, DType::i32}};
    return kAttention.outputs(in, desc);
  };
  const Attention::Desc desc{.heads = 2, .sequence = 3};
  EXPECT_NO_THROW(ask({6, 4}, {6, 4}, {6, 2}, desc));
  const TensorSpec half{{6, 4}, DType::bf16}, first{{6}, DType::i32};
  EXPECT_EQ(kAttention.outputs(std::vector{half, half, half, first}, desc)[Attention::lse].spec,
            f32({6, 2}));
  EXPECT_THROW(kAttention.outputs(std::vector{half, half, f32({6, 4}), first}, desc),
               InternalError);
  EXPECT_THROW(ask({5, 4}, {5, 4}, {5, 2}, desc), InternalError);
  EXPECT_THROW(ask({6, 4}, {6, 2}, {6, 2}, desc), InternalError);
  EXPECT_THROW(ask({6, 4}, {6, 4}, {6, 3}, desc), InternalError);
  EXPECT_THROW(ask({6, 4}, {6, 4}, {3, 2}, desc), InternalError);
  EXPECT_THROW(ask({6, 4}, {6, 4}, {6, 2}, {.heads = 2}), InternalError);
  const Case c{2, 3, 1, 2, 2};
  for (const auto& keys : {std::vector<double>{0, 0, 0, 2, 3, 3},
                           {0, 2, 2, 3, 3, 3},
                           {0, 1, 0, 3, 3, 3},
                           {0, 0, -1, 3, 3, 3}}) {
    auto in = inputs_of(c);
    in[3] = Tensor(in[3].spec, keys);
    EXPECT_THROW(run(kAttention, in, c.desc(), {.device = Device::cpu}), InternalError);
  }
}

}  // namespace
}  // namespace birkhoff::testing
