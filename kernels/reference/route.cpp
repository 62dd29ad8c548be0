#include "kernels/route.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

double log_sigmoid(double l) {
  return l < 0 ? l - std::log1p(std::exp(l)) : -std::log1p(std::exp(-l));
}

double not_nan(double key) { return std::isnan(key) ? -HUGE_VAL : key; }

// For each expert, whether its group is one of the `active_groups` best.
std::vector<bool> kept(const std::vector<double>& key, const Route::Desc& desc) {
  const auto size = std::ptrdiff_t(key.size()) / desc.groups;
  std::vector<double> group_key;
  for (int64_t g = 0; g < desc.groups; ++g) {
    std::vector<double> own(key.begin() + g * size, key.begin() + (g + 1) * size);
    std::sort(own.begin(), own.end(), std::greater<>());
    group_key.push_back(size == 1 ? own[0] : not_nan(own[0] + own[1]));
  }
  std::vector<int64_t> order(static_cast<size_t>(desc.groups));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t g, int64_t h) {
    return group_key[size_t(g)] > group_key[size_t(h)];
  });
  std::vector<bool> all(key.size());
  for (int64_t n = 0; n < desc.active_groups; ++n)
    std::fill_n(all.begin() + order[size_t(n)] * size, size, true);
  return all;
}

}  // namespace

void route(const Args& a) {
  const Input logits(a, Route::logits), bias(a, Route::bias), position(a, Route::position);
  const Output weight(a, Route::weight), expert(a, Route::expert), score(a, Route::score),
      load(a, Route::load);
  const auto& desc = a.desc<Route::Desc>();
  const int64_t tokens = a.dim(Route::logits, 0), experts = a.dim(Route::logits, 1);
  std::vector<int64_t> count(static_cast<size_t>(experts));
  for (int64_t t = 0; t < tokens; ++t) {
    if (position[t] < 0) {  // padding
      for (int64_t j = 0; j < desc.active; ++j) {
        weight.set(t * desc.active + j, 0);
        expert.set(t * desc.active + j, -1);
      }
      for (int64_t e = 0; e < experts; ++e) score.set(t * experts + e, 0);
      continue;
    }
    std::vector<double> key;
    for (int64_t e = 0; e < experts; ++e)
      key.push_back(not_nan(1 / (1 + std::exp(-logits[t * experts + e])) + bias[e]));
    std::vector<bool> free = kept(key, desc);
    std::vector<double> chosen;  // Logs of the chosen scores.
    for (int64_t j = 0; j < desc.active; ++j) {
      int64_t best = -1;
      for (int64_t e = 0; e < experts; ++e)
        if (free[size_t(e)] && (best < 0 || key[size_t(e)] > key[size_t(best)])) best = e;
      free[size_t(best)] = false;
      ++count[size_t(best)];
      expert.set(t * desc.active + j, double(best));
      chosen.push_back(log_sigmoid(logits[t * experts + best]));
    }
    for (int64_t j = 0; j < desc.active; ++j) {
      double sum = 0;  // Sum of the chosen scores, divided by score j.
      for (const double other : chosen) sum += std::exp(other - chosen[size_t(j)]);
      const double share = desc.normalise ? 1 / sum : std::exp(chosen[size_t(j)]);
      weight.set(t * desc.active + j, desc.scaling * share);
    }
    for (int64_t e = 0; e < experts; ++e)
      score.set(t * experts + e, 1 / (1 + std::exp(-logits[t * experts + e])));
  }
  for (int64_t e = 0; e < experts; ++e) load.set(e, double(count[size_t(e)]));
}

void route_backward(const Args& a) {
  using B = RouteBackward;
  const Input dweight(a, B::dweight), weight(a, B::weight), expert(a, B::expert),
      score(a, B::score);
  const Output dlogits(a, B::dlogits);
  const auto& desc = a.desc<Route::Desc>();
  const int64_t tokens = a.dim(B::score, 0), experts = a.dim(B::score, 1);
  const int64_t active = a.dim(B::weight, 1);
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<double> row(static_cast<size_t>(experts));
    for (int64_t j = 0; j < active; ++j) {
      const int64_t at = t * active + j, e = int64_t(expert[at]);
      if (e < 0) continue;  // padding
      double pull = 0;
      for (int64_t i = t * active; i < (t + 1) * active; ++i) pull += dweight[i] * weight[i];
      const double d = dweight[at] - (desc.normalise ? pull / desc.scaling : 0);
      row[size_t(e)] = d * weight[at] * (1 - score[t * experts + e]);
    }
    for (int64_t e = 0; e < experts; ++e) dlogits.set(t * experts + e, row[size_t(e)]);
  }
}

}  // namespace birkhoff::reference
