#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "hwy/targets.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

struct Case {
  int64_t sequences, sequence, heads, width, value;
  int64_t document = 0;  // > 0: one begins at every such token of the whole
  double size = 1;       // of q and k
  int64_t tokens() const { return sequences * sequence; }
  Attention::Desc desc() const {
    return {.heads = heads, .sequence = sequence, .scale = 1 / std::sqrt(double(width))};
  }
};

Tensor first_keys(const Case& c) {
  Tensor first({{c.tokens()}, DType::i32});
  for (int64_t t = 0; t < c.tokens(); ++t) {
    const int64_t sequence = t / c.sequence * c.sequence;
    const int64_t document = c.document ? t / c.document * c.document : 0;
    first.set(t, double(std::max(sequence, document)));
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

// One token, primes, blocks of 64 filled exactly, one more and many; sequences cut by documents
// whose borders fall in, on and between blocks.
const Case kCases[] = {{1, 1, 1, 1, 1},         {5, 1, 2, 6, 3},      {2, 7, 2, 5, 3},
                       {1, 64, 1, 16, 8},       {2, 65, 1, 24, 17},   {1, 37, 3, 12, 20, 5},
                       {2, 11, 2, 4, 3, 4},     {1, 66, 1, 192, 128}, {2, 100, 1, 7, 33, 43},
                       {1, 300, 1, 48, 34, 128}};

std::vector<Example> attention_examples() {
  std::vector<Example> all;
  for (const Case& c : kCases) {
    const auto in = inputs_of(c);
    const auto out = run(kAttention, in, c.desc());
    const std::string label = fmt::format("{} of {}, {} heads {}/{}, documents {}", c.sequences,
                                          c.sequence, c.heads, c.width, c.value, c.document);
    all.push_back({.op = &kAttention,
                   .inputs = in,
                   .desc = c.desc(),
                   .label = label,
                   .differentiable = c.tokens() * c.heads * c.width < 1000,
                   .stored = {Attention::q, Attention::k, Attention::v}});
    all.push_back({.op = &kAttentionBackward,
                   .inputs = backward_inputs(in, out),
                   .desc = c.desc(),
                   .label = label,
                   .tolerance = 64,  // dk and dv sum up to 300 queries
                   .scale = 1,       // of one token's dq and dk, which are 0
                   .stored = {AttentionBackward::d_o, AttentionBackward::q, AttentionBackward::k,
                              AttentionBackward::v, AttentionBackward::o}});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Attention, attention_examples)

// Softmax as the textbook has it, in double, with a mask that is asked pair by pair.
std::vector<double> brute_force(const Case& c, const std::vector<Tensor>& in) {
  std::vector<double> o;
  for (int64_t t = 0; t < c.tokens(); ++t)
    for (int64_t h = 0; h < c.heads; ++h) {
      std::vector<double> weight(size_t(c.tokens()), 0);
      double sum = 0;
      for (int64_t j = 0; j < c.tokens(); ++j) {
        const bool same_sequence = t / c.sequence == j / c.sequence;
        const bool same_document = !c.document || t / c.document == j / c.document;
        if (j > t || !same_sequence || !same_document) continue;
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
    // A mean of values of about 1: weights are off by as much as scores, some epsilons.
    expect_close(got, Tensor({got.spec.shape, DType::f64}, brute_force(c, in)), 64 * 1.2e-7,
                 fmt::format("{} of {}", c.sequences, c.sequence));
  }
}

// Bound of a result that is rounded once: half an ulp of bf16 is 2^-8 of it at most.
double rounded_within(const Tensor& got, const Tensor& want, double bound) {
  double largest = 0;
  for (int64_t i = 0; i < want.spec.count(); ++i) largest = std::max(largest, std::abs(want.at(i)));
  return bound + (got.spec.dtype == DType::bf16 ? largest / 256 : 0);
}

// Every instruction set that this machine has, not only its best.
TEST(Attention, EveryInstructionSetAgrees) {
  const Case c{2, 70, 2, 13, 11, 29};
  for (const DType storage : {DType::f32, DType::bf16}) {
    const auto in = inputs_of(c, storage);
    const auto want = run(kAttention, in_double(in), c.desc());
    const auto back = backward_inputs(in, run(kAttention, in, c.desc()));
    const auto want_back = run(kAttentionBackward, in_double(back), c.desc());
    for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(target);
      const auto got = run(kAttention, in, c.desc(), {.device = Device::cpu});
      const auto got_back = run(kAttentionBackward, back, c.desc(), {.device = Device::cpu});
      for (int k = 0; k < 2; ++k)
        expect_close(got[k], want[k], rounded_within(got[k], want[k], 1e-5),
                     hwy::TargetName(target));
      for (int k = 0; k < 3; ++k)
        expect_close(got_back[k], want_back[k], rounded_within(got_back[k], want_back[k], 1e-4),
                     hwy::TargetName(target));
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// Scores of exactly −1e4, −5e3, … 1e4, the largest in late blocks: the softmax is a choice, and its
// gradients are finite.
TEST(Attention, ScoresFarApartStayFinite) {
  const Case c{1, 130, 1, 2, 3};
  auto in = inputs_of(c);
  for (int64_t t = 0; t < c.tokens(); ++t)
    for (int64_t i = 0; i < 2; ++i) {
      in[0].set(2 * t + i, i ? 0 : 100);
      in[1].set(2 * t + i, i ? 0 : 100 * (double(std::min(t * 7 % 5, 2 + t / 40)) - 2) / 2);
    }
  const Attention::Desc desc{.heads = 1, .sequence = c.sequence, .scale = 1};
  const auto want = run(kAttention, in_double(in), desc);
  const auto got = run(kAttention, in, desc, {.device = Device::cpu});
  expect_close(got[0], want[0], 64 * 1.2e-7, "o");
  expect_close(got[1], want[1], 1e4 * 2.4e-7, "lse");
  const auto want_back = run(kAttentionBackward, in_double(backward_inputs(in, want)), desc);
  const auto back =
      run(kAttentionBackward, backward_inputs(in, got), desc, {.device = Device::cpu});
  // p = exp(s − lse), and an lse near 1e4 is known to half an ulp, 5e-4: all of a query's p are off
  // by one relative error of at most 1e-3 (the subtraction rounds again), and so are its ds.
  const double largest[] = {1, 302, 2.2};  // of dq, which cancels to 0, dk, dv
  for (int k = 0; k < 3; ++k)
    expect_close(back[k], want_back[k], 1e-3 * largest[k], fmt::format("output {}", k));
}

// Poisons a token's key, value or both and asks who notices.
void expect_no_token_sees_beyond(DType storage) {
  const Case c{2, 150, 1, 9, 5, 70};
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
    for (const int64_t at : {0, 3, 63, 64, 69, 70, 149, 150, 213, 280, 299})
      for (const int what : {1, 2, 3}) check_poisoned(poison, what & 1, what & 2, at);
}

TEST(Attention, NoTokenSeesALaterKeyOrAnotherDocument) {
  for (const DType storage : {DType::f32, DType::bf16}) expect_no_token_sees_beyond(storage);
}

// A NaN anywhere in a document reaches no gradient of another; in its own it is not hidden.
void expect_gradients_stay(DType storage) {
  const Case c{2, 150, 1, 9, 5, 70};
  const auto in = inputs_of(c, storage);
  const auto back = backward_inputs(in, run(kAttention, in, c.desc(), {.device = Device::cpu}));
  const auto clean = run(kAttentionBackward, back, c.desc(), {.device = Device::cpu});
  const int64_t from = 140, to = 150;  // a document: tokens of the first sequence from 140 on
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
  for (const DType storage : {DType::f32, DType::bf16}) expect_gradients_stay(storage);
}

TEST(Attention, UnwantedOutputsAreSkipped) {
  const Case c{1, 70, 2, 6, 5};
  const auto in = inputs_of(c);
  const auto out = run(kAttention, in, c.desc());
  const auto back = backward_inputs(in, out);
  const auto all = run(kAttentionBackward, back, c.desc(), {.device = Device::cpu});
  std::vector<TensorSpec> specs;
  for (const Tensor& t : back) specs.push_back(t.spec);
  const Workspace w = kAttentionBackward.workspace(specs, c.desc());
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
    kAttentionBackward.body[int(Device::cpu)]({operands, results, &desc, &context});
    expect_same_bits(made, all[wanted], fmt::format("only output {}", wanted));
  }
}

TEST(Attention, CostCountsTheCausalHalf) {
  // 3 sequences of 4: 3·10 pairs, 2 heads, widths 5 and 7.
  const std::vector<TensorSpec> in = {
      f32({12, 10}), f32({12, 10}), f32({12, 14}), {{12}, DType::i32}};
  const Attention::Desc desc{.heads = 2, .sequence = 4};
  EXPECT_EQ(kAttention.flops(in, desc), 2 * 30 * 2 * (5 + 7));
  const std::vector<TensorSpec> back = {in[2], in[0], in[1], in[2], in[2], f32({12, 2}), in[3]};
  EXPECT_EQ(kAttentionBackward.flops(back, desc), 2 * 30 * 2 * (3 * 5 + 2 * 7));
  EXPECT_LT(kAttention.workspace(in, desc).per_thread, 64u << 10);
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
