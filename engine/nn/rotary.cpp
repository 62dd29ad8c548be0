#include "engine/nn/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace birkhoff::nn {
namespace {

double growth(const ModelConfig& m, double weight) {
  return 1 + 0.1 * weight * std::log(m.rope_factor);
}

double magnitude(const ModelConfig& m) {
  if (m.rope_attention_factor > 0) return m.rope_attention_factor;
  if (m.rope_mscale > 0 && m.rope_mscale_all_dim > 0)
    return growth(m, m.rope_mscale) / growth(m, m.rope_mscale_all_dim);
  return growth(m, 1);
}

// The index of the pair, as a real number, that makes that many turns in the original context.
double pair_of(const ModelConfig& m, double turns) {
  return double(m.rope_dim) *
         std::log(double(m.rope_original_positions) / (2 * std::numbers::pi * turns)) /
         (2 * std::log(m.rope_theta));
}

}  // namespace

Rope::Desc rotary(const ModelConfig& m, int64_t heads) {
  Rope::Desc desc{.heads = heads, .dims = m.rope_dim, .theta = m.rope_theta};
  if (m.rope_scaling == RopeScaling::none) return desc;
  desc.factor = m.rope_factor, desc.magnitude = magnitude(m);
  desc.low = pair_of(m, m.rope_beta_fast), desc.high = pair_of(m, m.rope_beta_slow);
  if (m.rope_truncate) desc.low = std::floor(desc.low), desc.high = std::ceil(desc.high);
  desc.low = std::max(desc.low, 0.0), desc.high = std::min(desc.high, double(m.rope_dim - 1));
  if (desc.low == desc.high) desc.high += 0.001;
  return desc;
}

double attention_scale(const ModelConfig& m) {
  const double scale = 1 / std::sqrt(double(m.nope_dim + m.rope_dim));
  if (m.rope_scaling == RopeScaling::none || m.rope_mscale_all_dim == 0) return scale;
  const double g = growth(m, m.rope_mscale_all_dim);
  return scale * g * g;
}

}  // namespace birkhoff::nn
