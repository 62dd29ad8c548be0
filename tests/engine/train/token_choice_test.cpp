#include "engine/train/token_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace birkhoff {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(size_t n, uint64_t seed) {
  const Random random(seed, "logits");
  std::vector<float> z(n);
  for (size_t i = 0; i < n; ++i) z[i] = 2 * random.normal(i);
  return z;
}

// The distribution that the header describes, taken literally: repeatedly take the largest logit
// that is left, count, add up, stop; in long double.
std::map<size_t, long double> brute_force(std::vector<float> z, const TokenChoice& c) {
  long double total = 0;
  std::vector<std::pair<size_t, long double>> kept;
  const size_t k = c.top_k == 0 ? z.size() : std::min(z.size(), size_t(c.top_k));
  const float max = *std::max_element(z.begin(), z.end());
  while (kept.size() < k) {
    const auto best = std::max_element(z.begin(), z.end());  // the first of equals
    kept.emplace_back(best - z.begin(), std::exp((static_cast<long double>(*best) - max) /
                                                 static_cast<long double>(c.temperature)));
    total += kept.back().second;
    *best = -kInf;
  }
  std::map<size_t, long double> p;
  long double sum = 0, mass = 0;
  for (const auto& [token, w] : kept) {
    if (sum >= static_cast<long double>(c.top_p) * total) break;
    sum += w;
    p[token] = w;
    mass += w;
  }
  for (auto& [token, w] : p) w /= mass;
  return p;
}

// Draws agree with the distribution: by Hoeffding, P(|frequency − p| ≥ e) ≤ 2·exp(−2·N·e²) for each
// token; with e = sqrt(ln(2/δ) / 2N) and δ = 1e-9 over < 1000 comparisons the test fails by chance
// once in a million seeds, and the seeds are fixed.
void expect_distribution(const std::vector<float>& z, const TokenChoice& choice) {
  constexpr int kDraws = 20'000;
  const double bound = std::sqrt(std::log(2 / 1e-9) / (2 * kDraws));
  const std::map<size_t, long double> p = brute_force(z, choice);
  std::map<size_t, int> counts;
  for (int i = 0; i < kDraws; ++i) ++counts[size_t(choose_token(z, choice, uint64_t(i)))];
  for (const auto& [token, n] : counts)
    EXPECT_TRUE(p.contains(token)) << "token " << token << " was not to be kept";
  for (const auto& [token, q] : p)
    EXPECT_NEAR(double(counts[token]) / kDraws, double(q), bound) << "token " << token;
}

TEST(TokenChoice, DrawsFromTheDistribution) {
  for (const size_t n : {1, 2, 13, 31}) {
    const std::vector<float> z = random_logits(n, n);
    expect_distribution(z, {.seed = 1});
    expect_distribution(z, {.temperature = 0.5, .seed = 2});
    expect_distribution(z, {.temperature = 3, .top_k = 3, .seed = 3});
    expect_distribution(z, {.top_p = 0.7, .seed = 4});
    expect_distribution(z, {.temperature = 1.5, .top_k = 7, .top_p = 0.5, .seed = 5});
  }
}

// Exactly which tokens are kept, over many sizes and settings: with enough draws, each kept token
// of probability ≥ 1/50 appears (missed with (1 − 1/50)^1000 < 2e-9).
TEST(TokenChoice, KeepsExactlyTheRightTokens) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> z = random_logits(11, 100 + seed);
    for (const TokenChoice& c : {TokenChoice{.top_k = 1 + int64_t(seed % 11), .seed = seed},
                                 TokenChoice{.top_p = double(1 + seed) / 21, .seed = seed}}) {
      const auto p = brute_force(z, c);
      std::map<size_t, int> counts;
      for (uint64_t i = 0; i < 1000; ++i) ++counts[size_t(choose_token(z, c, i))];
      for (const auto& [token, n] : counts) EXPECT_TRUE(p.contains(token));
      for (const auto& [token, q] : p) EXPECT_TRUE(q < 0.02L || counts.contains(token));
    }
  }
}

TEST(TokenChoice, GreedyTakesTheLargestAndTheLowestIndexOfEquals) {
  const std::vector<float> z = {-kInf, 1, 3, -2, 3, 0};
  EXPECT_EQ(choose_token(z, {.temperature = 0}, 9), 2);
  EXPECT_EQ(choose_token(z, {.temperature = 5, .top_k = 1}, 9), 2);
  EXPECT_EQ(choose_token(z, {.temperature = 5, .top_p = 1e-9}, 9), 2);
  EXPECT_EQ(choose_token(std::vector<float>{-7}, {.temperature = 0}, 0), 0);
  for (uint64_t i = 0; i < 100; ++i) {  // exp((3 − 1) / 1e-300) would overflow the other way round
    const int64_t t = choose_token(z, {.temperature = 1e-300}, i);
    EXPECT_TRUE(t == 2 || t == 4);
  }
}

TEST(TokenChoice, EqualLogitsAreCutByIndex) {
  const std::vector<float> z(5, 1.5f);
  expect_distribution(z, {.top_k = 2, .seed = 8});
  expect_distribution(z, {.top_p = 0.5, .seed = 8});
}

TEST(TokenChoice, ImpossibleTokensAreNeverChosen) {
  const std::vector<float> z = {-kInf, 0, -kInf, -2000, 0.5, -kInf};
  for (uint64_t i = 0; i < 5000; ++i) {
    const int64_t t = choose_token(z, {.temperature = 1}, i);
    ASSERT_TRUE(t == 1 || t == 4) << t;
  }
}

TEST(TokenChoice, IsAFunctionOfSeedAndPosition) {
  const std::vector<float> z = random_logits(100, 1);
  int by_seed = 0, by_position = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    const int64_t t = choose_token(z, {.seed = 1}, i);
    EXPECT_EQ(t, choose_token(z, {.seed = 1}, i));
    by_seed += t != choose_token(z, {.seed = 2}, i);
    by_position += t != choose_token(z, {.seed = 1}, i + 1);
  }
  EXPECT_GT(by_seed, 50);
  EXPECT_GT(by_position, 50);
}

TEST(TokenChoice, RefusesWhatIsNoDistribution) {
  const TokenChoice c;
  EXPECT_THROW(choose_token(std::vector<float>{0, std::nanf("")}, c, 0), NumericError);
  EXPECT_THROW(choose_token(std::vector<float>{std::nanf(""), 0}, c, 0), NumericError);
  EXPECT_THROW(choose_token(std::vector<float>{0, kInf}, c, 0), NumericError);
  EXPECT_THROW(choose_token(std::vector<float>{-kInf, -kInf}, c, 0), NumericError);
  EXPECT_THROW(choose_token({}, c, 0), InternalError);
}

TEST(TokenChoice, Options) {
  for (const TokenChoice& good :
       {TokenChoice{}, TokenChoice{.temperature = 0}, TokenChoice{.top_k = 5, .top_p = 1e-9}})
    check_token_choice(good);
  for (const TokenChoice& bad :
       {TokenChoice{.temperature = -1}, TokenChoice{.temperature = std::nan("")},
        TokenChoice{.temperature = double(kInf)}, TokenChoice{.top_k = -1}, TokenChoice{.top_p = 0},
        TokenChoice{.top_p = 1.01}, TokenChoice{.top_p = std::nan("")}})
    EXPECT_THROW(check_token_choice(bad), ConfigError);
}

// Against long double; the error of n exps and sums is ≤ (n + 4)·2⁻⁵³ relative in the sum, so the
// same absolute in its logarithm, plus one rounding of each result (|z| < 1100: 2^-42).
TEST(LogSoftmax, AgreesWithLongDouble) {
  for (const size_t n : {1, 2, 17, 1009}) {
    std::vector<float> z = random_logits(n, n);
    z[n / 2] = 1000;
    if (n > 2) z[1] = -kInf;
    std::vector<double> out(n);
    log_softmax(z, out);
    long double sum = 0;
    for (const float x : z) sum += std::exp(static_cast<long double>(x) - 1000.0L);
    const double bound = double(n + 4) * 0x1p-53 + 0x1p-42;
    for (size_t i = 0; i < n; ++i) {
      const long double exact = static_cast<long double>(z[i]) - 1000.0L - std::log(sum);
      if (std::isinf(z[i]))
        EXPECT_EQ(out[i], -double(kInf));
      else
        EXPECT_NEAR(out[i], double(exact), bound) << i;
    }
  }
}

}  // namespace
}  // namespace birkhoff
