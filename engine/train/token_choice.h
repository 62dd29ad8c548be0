#pragma once
// Choosing the next token of a text from its logits z, one row of [vocabulary]:
//
//   temperature T = 0: the largest logit, the lowest index of equals
//   T > 0: keep the top_k largest (0: all; equals by lowest index), p = softmax(z / T) over them,
//          keep the shortest prefix, in descending order, whose sum is ≥ top_p (1: all), and draw
//          from what is kept in proportion to p
//
// The draw is a function of (seed, position), in double: nucleus sampling as in Holtzman et al.,
// The Curious Case of Neural Text Degeneration (arXiv:1904.09751). A logit of −inf is a token that
// is never chosen; NaN, +inf, and logits that are all −inf are NumericError (exit code 8).
// Thread-safe: no state.
#include <cstdint>
#include <span>

namespace birkhoff {

struct TokenChoice {
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1;
  uint64_t seed = 0;
};

// Throws ConfigError (exit code 2) unless temperature ≥ 0 is finite, top_k ≥ 0, 0 < top_p ≤ 1.
void check_token_choice(const TokenChoice& choice);

// REQUIRES a choice that passes check_token_choice, and at least one logit.
int64_t choose_token(std::span<const float> logits, const TokenChoice& choice, uint64_t position);

// out_i = z_i − log Σ_j exp z_j, in double. REQUIRES out.size() == logits.size() > 0.
void log_softmax(std::span<const float> logits, std::span<double> out);

}  // namespace birkhoff
