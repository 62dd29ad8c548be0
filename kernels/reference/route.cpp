#include "kernels/route.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

double log_sigmoid(double l) {
  return l < 0 ? l - std::log1p(std::exp(l)) : -std::log1p(std::exp(-l));
}

}  // namespace

void route(const Args& a) {
  const Input logits(a, Route::logits), bias(a, Route::bias);
  const Output weight(a, Route::weight), expert(a, Route::expert), score(a, Route::score),
      load(a, Route::load);
  const auto& desc = a.desc<Route::Desc>();
  const int64_t tokens = a.dim(Route::logits, 0), experts = a.dim(Route::logits, 1);
  std::vector<int64_t> count(static_cast<size_t>(experts));
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<bool> taken(static_cast<size_t>(experts));
    std::vector<double> chosen;  // log of the score
    for (int64_t j = 0; j < desc.active; ++j) {
      int64_t best = -1;
      double most = 0;
      for (int64_t e = 0; e < experts; ++e) {
        double key = 1 / (1 + std::exp(-logits[t * experts + e])) + bias[e];
        if (std::isnan(key)) key = -HUGE_VAL;
        if (!taken[size_t(e)] && (best < 0 || key > most)) best = e, most = key;
      }
      taken[size_t(best)] = true;
      ++count[size_t(best)];
      expert.set(t * desc.active + j, double(best));
      chosen.push_back(log_sigmoid(logits[t * experts + best]));
    }
    for (int64_t j = 0; j < desc.active; ++j) {
      double sum = 0;  // of scores, in units of this one
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
      double pull = 0;
      for (int64_t i = t * active; i < (t + 1) * active; ++i) pull += dweight[i] * weight[i];
      const double d = dweight[at] - (desc.normalise ? pull / desc.scaling : 0);
      row[size_t(e)] = d * weight[at] * (1 - score[t * experts + e]);
    }
    for (int64_t e = 0; e < experts; ++e) dlogits.set(t * experts + e, row[size_t(e)]);
  }
}

}  // namespace birkhoff::reference
