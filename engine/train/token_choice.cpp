#include "engine/train/token_choice.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace birkhoff {
namespace {

// Index of the largest logit, the lowest of equals.
size_t largest(std::span<const float> logits) {
  check(!logits.empty(), "no logits to choose from");
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == std::numeric_limits<float>::infinity())
      throw NumericError(fmt::format(
          "the logit of token {} is {}, so no token can be chosen; use another checkpoint", i,
          logits[i]));
    if (logits[i] > logits[best]) best = i;
  }
  if (std::isinf(logits[best]))
    throw NumericError("all logits are -inf, so no token can be chosen; use another checkpoint");
  return best;
}

}  // namespace

void check_token_choice(const TokenChoice& c) {
  if (!(c.temperature >= 0) || std::isinf(c.temperature))
    throw ConfigError(fmt::format("temperature {} is not valid; give a finite number of 0 or more",
                                  c.temperature));
  if (c.top_k < 0)
    throw ConfigError(fmt::format("top-k {} is negative; give 0 for all tokens, or more", c.top_k));
  if (!(c.top_p > 0 && c.top_p <= 1))
    throw ConfigError(
        fmt::format("top-p {} is not valid; give a number above 0 and at most 1", c.top_p));
}

int64_t choose_token(std::span<const float> logits, const TokenChoice& choice, uint64_t position) {
  const size_t best = largest(logits);
  if (choice.temperature == 0 || choice.top_k == 1) return int64_t(best);

  std::vector<size_t> order(logits.size());  // tokens, most likely first
  std::iota(order.begin(), order.end(), size_t(0));
  const auto before = [&](size_t a, size_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  if (choice.top_k > 0 && uint64_t(choice.top_k) < order.size()) {
    std::partial_sort(order.begin(), order.begin() + choice.top_k, order.end(), before);
    order.resize(size_t(choice.top_k));
  } else {
    std::sort(order.begin(), order.end(), before);
  }

  std::vector<double> sums;  // running, of exp((z − max) / T): 1 to the vocabulary
  for (const size_t token : order) {
    const double w = std::exp((double(logits[token]) - double(logits[best])) / choice.temperature);
    sums.push_back((sums.empty() ? 0 : sums.back()) + w);
  }
  const auto kept = std::lower_bound(sums.begin(), sums.end(), choice.top_p * sums.back());
  sums.resize(size_t(kept - sums.begin()) + 1);

  const double u = Random(choice.seed, "token choice").uniform(position) * sums.back();
  // u < the last sum, so upper_bound finds one. A token of weight 0 has the sum of the one before
  // it, and is never found.
  return int64_t(order[size_t(std::upper_bound(sums.begin(), sums.end(), u) - sums.begin())]);
}

void log_softmax(std::span<const float> logits, std::span<double> out) {
  check(out.size() == logits.size(), "{} logits do not fit an output of {}", logits.size(),
        out.size());
  const double max = double(logits[largest(logits)]);
  double sum = 0;
  for (const float z : logits) sum += std::exp(double(z) - max);
  const double log_sum = max + std::log(sum);
  for (size_t i = 0; i < logits.size(); ++i) out[i] = double(logits[i]) - log_sum;
}

}  // namespace birkhoff
