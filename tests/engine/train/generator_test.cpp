// Generating with caches of keys and values gives what scoring the whole text gives.
#include "engine/train/generator.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "engine/train/scorer.h"
#include "kernels/features.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

constexpr int64_t kTokens = 75;  // more than two chunks of a prompt

// Random parameters and biases, equal for equal names.
void fill(const std::vector<TensorView>& views) {
  for (const TensorView& view : views) {
    const Random random(3, view.name);
    const float mean = view.name.find("norm") != std::string::npos ? 1.0f : 0.0f;
    auto* values = reinterpret_cast<float*>(view.bytes.data());
    for (size_t i = 0; i < view.bytes.size() / sizeof(float); ++i)
      values[i] = mean + 0.3f * random.normal(i);
  }
}

std::vector<int32_t> text(const Config& c) {
  std::vector<int32_t> tokens;
  const Random random(7, "text");
  for (uint64_t t = 0; t <= kTokens; ++t)
    tokens.push_back(int32_t(random.below(t, uint64_t(c.model.vocab))));
  return tokens;
}

double minus_log_p(std::span<const float> logits, int32_t token) {
  double sum = 0;
  for (const float l : logits) sum += std::exp(double(l) - double(logits[0]));
  return std::log(sum) + double(logits[0]) - double(logits[size_t(token)]);
}

std::vector<float> scores(const Config& c, const std::vector<int32_t>& tokens) {
  ThreadTeam team(1);
  Scorer scorer(c, team, 1, kTokens);
  fill(scorer.tensors());
  Batch batch;
  batch.resize(1, kTokens);
  batch.valid = kTokens;
  for (size_t t = 0; t < size_t(kTokens); ++t) {
    batch.token[t] = tokens[t], batch.target[t] = tokens[t + 1];
    batch.position[t] = int32_t(t), batch.first_key[t] = 0;
  }
  const auto nll = scorer.score(batch);
  return {nll.begin(), nll.end()};
}

TEST(Generator, AgreesWithScoringTheWholeHoweverItIsFed) {
  struct Case {
    ResidualKind residual;
    Precision precision;
    bool pairs = true;  // multiply pairs of bf16, if the processor can
  };
  for (const auto& [residual, precision, pairs] :
       {Case{ResidualKind::plain, Precision::fp32}, Case{ResidualKind::hc, Precision::fp32},
        Case{ResidualKind::mhc, Precision::fp32}, Case{ResidualKind::mhc, Precision::bf16, false},
        Case{ResidualKind::mhc, Precision::bf16}}) {
    pretend_features(pairs ? std::nullopt : std::optional(Features()));
    Config c = small_config();
    c.model.residual = residual, c.train.precision = precision;
    // Sums of at most 75 terms below 4 in each of 6 sublayers: 6·75·4·2⁻²⁴ = 1.1e-4. In bf16 a
    // different last bit of such a sum flips a rounding now and then, which costs 2^-8 of a value:
    // a fifth of what all of a step's roundings cost (Bf16.ErrorIsThatOfItsRoundings). Where pairs
    // of bf16 are multiplied, scoring rounds p as a factor, and generation does not: all later
    // roundings are drawn anew, and two draws are √2 of that cost apart.
    const double in_bf16 = pairs ? 0.1 * std::sqrt(2.0) : 0.02;
    const double bound = precision == Precision::bf16 ? in_bf16 : 1.1e-4;
    const std::vector<int32_t> tokens = text(c);
    const std::vector<float> want = scores(c, tokens);
    ThreadTeam team(2);
    Generator generator(c, team, kTokens);
    fill(generator.tensors());
    for (const std::vector<size_t>& steps :
         {std::vector<size_t>(size_t(kTokens), 1), {75}, {32, 43}, {1, 32, 1, 41}, {5, 64, 6}}) {
      generator.restart();
      size_t at = 0;
      for (const size_t count : steps) {
        const auto logits = generator.feed(std::span(tokens).subspan(at, count));
        at += count;
        EXPECT_NEAR(minus_log_p(logits, tokens[at]), double(want[at - 1]), bound)
            << at << " by " << steps[0];
      }
      EXPECT_EQ(generator.length(), kTokens);
    }
  }
}

TEST(Generator, RefusesWhatDoesNotFit) {
  const Config c = small_config();
  ThreadTeam team(1);
  Generator generator(c, team, 3);
  fill(generator.tensors());
  const std::vector<int32_t> four = {1, 2, 3, 4}, strange = {int32_t(c.model.vocab)};
  EXPECT_THROW(generator.feed(four), ConfigError);
  EXPECT_THROW(generator.feed(strange), DataError);
  generator.feed(std::span(four).first(3));
  EXPECT_THROW(generator.feed(std::span(four).first(1)), ConfigError);
}

}  // namespace
}  // namespace birkhoff::testing
