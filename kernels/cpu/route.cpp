#include "kernels/route.h"

#include <algorithm>
#include <cmath>

#include "kernels/bodies.h"
#include "kernels/cpu/result_of.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/route.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// e^−|l| never overflows, and one exponential serves both signs. Exp turns NaN into 0, so NaN is
// restored.
HWY_NOINLINE void Sigmoids(const float* logits, int64_t count, float* score) {
  each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto l = hn::LoadU(d, logits + i), one = hn::Set(d, 1.0f);
    const auto z = hn::Exp(d, hn::Neg(hn::Abs(l)));
    const auto s = hn::Div(hn::IfThenElse(hn::Lt(l, hn::Zero(d)), z, one), hn::Add(one, z));
    hn::StoreU(hn::IfThenElse(hn::IsNaN(l), l, s), d, score + i);
  });
}

// Arrays of one token, in a thread's workspace.
struct Choice {
  Choice(float* memory, int64_t experts, const Route::Desc& d)
      : score(memory),
        key(score + experts),
        share(key + d.active),
        expert(reinterpret_cast<int32_t*>(share + d.active)),
        group_key(share + 2 * d.active),
        kept(reinterpret_cast<int32_t*>(group_key + d.groups)),
        group_size(experts / d.groups) {}

  float* score;      // [E]
  float* key;        // [k] descending
  float* share;      // [k]
  int32_t* expert;   // [k]
  float* group_key;  // [groups]
  int32_t* kept;     // [groups] whether the group's experts may be chosen
  int64_t group_size;
};

float key_of(float sum) { return std::isnan(sum) ? -HUGE_VALF : sum; }

void KeepGroups(const float* bias, const Route::Desc& d, const Choice& c) {
  if (d.active_groups == d.groups) {
    std::fill_n(c.kept, d.groups, 1);
    return;
  }
  for (int64_t g = 0; g < d.groups; ++g) {
    float first = -HUGE_VALF, second = -HUGE_VALF;
    for (int64_t e = g * c.group_size; e < (g + 1) * c.group_size; ++e) {
      const float key = key_of(c.score[e] + bias[e]);
      second = std::max(second, std::min(first, key));
      first = std::max(first, key);
    }
    c.group_key[g] = c.group_size == 1 ? first : key_of(first + second);
    c.kept[g] = 0;
  }
  for (int64_t n = 0; n < d.active_groups; ++n) {
    int64_t best = -1;
    for (int64_t g = 0; g < d.groups; ++g)
      if (!c.kept[g] && (best < 0 || c.group_key[g] > c.group_key[best])) best = g;
    c.kept[best] = 1;
  }
}

// Inserts into a sorted list of k keys; among equal keys the one that came first stays first.
void Choose(const float* bias, const Route::Desc& d, const Choice& c) {
  const int64_t active = d.active;
  int64_t found = 0;
  for (int64_t g = 0; g < d.groups; ++g) {
    if (!c.kept[g]) continue;
    for (int64_t e = g * c.group_size; e < (g + 1) * c.group_size; ++e) {
      const float key = key_of(c.score[e] + bias[e]);
      if (found == active && !(key > c.key[active - 1])) continue;
      int64_t at = found < active ? found++ : active - 1;
      for (; at > 0 && key > c.key[at - 1]; --at)
        c.key[at] = c.key[at - 1], c.expert[at] = c.expert[at - 1];
      c.key[at] = key, c.expert[at] = int32_t(e);
    }
  }
}

// share[j] = s_j, or s_j / Σ s if normalised; route.h explains what is done if Σ s underflows.
void Share(const float* logits, int64_t active, bool normalise, const Choice& c) {
  float most = logits[c.expert[0]];
  for (int64_t j = 1; j < active; ++j) most = std::max(most, logits[c.expert[j]]);
  const bool shifted = normalise && most < -50;
  float sum = 0;
  for (int64_t j = 0; j < active; ++j) {
    const int32_t e = c.expert[j];
    c.share[j] = shifted ? std::exp(logits[e] - most) : c.score[e];
    sum += c.share[j];
  }
  if (normalise)
    for (int64_t j = 0; j < active; ++j) c.share[j] /= sum;
}

void RouteRows(const Args& a) {
  const auto& desc = a.desc<Route::Desc>();
  const int64_t tokens = a.dim(Route::logits, 0), experts = a.dim(Route::logits, 1);
  const int64_t active = desc.active;
  const float *logits = a.in<float>(Route::logits), *bias = a.in<float>(Route::bias);
  const int32_t* position = a.in<int32_t>(Route::position);
  const ResultOf<float> weight(a, Route::weight), score(a, Route::score);
  const ResultOf<int32_t> expert(a, Route::expert);
  int32_t* counts = a.shared_workspace<int32_t>();
  a.team().ranges(tokens, kRouteTokens, [&](int64_t begin, int64_t end, int worker) {
    const Choice c(a.thread_workspace<float>(worker), experts, desc);
    int32_t* count = counts + begin / kRouteTokens * experts;
    std::fill_n(count, experts, 0);
    for (int64_t t = begin; t < end; ++t) {
      if (position[t] < 0) {  // padding
        for (int64_t j = t * active; j < (t + 1) * active; ++j) weight.set(j, 0), expert.set(j, -1);
        for (int64_t e = t * experts; e < (t + 1) * experts; ++e) score.set(e, 0);
        continue;
      }
      const float* row = logits + t * experts;
      Sigmoids(row, experts, c.score);
      KeepGroups(bias, desc, c);
      Choose(bias, desc, c);
      Share(row, active, desc.normalise, c);
      for (int64_t j = 0; j < active; ++j) {
        ++count[c.expert[j]];
        weight.set(t * active + j, float(desc.scaling) * c.share[j]);
        expert.set(t * active + j, c.expert[j]);
      }
      for (int64_t e = 0; e < experts; ++e) score.set(t * experts + e, c.score[e]);
    }
  });
  const ResultOf<int32_t> load(a, Route::load);
  const int64_t tasks = (tokens + kRouteTokens - 1) / kRouteTokens;
  for (int64_t e = 0; e < experts; ++e) {
    int32_t sum = 0;
    for (int64_t task = 0; task < tasks; ++task) sum += counts[task * experts + e];
    load.set(e, sum);
  }
}

void RouteBackwardRows(const Args& a) {
  using B = RouteBackward;
  const auto& desc = a.desc<Route::Desc>();
  const int64_t tokens = a.dim(B::score, 0), experts = a.dim(B::score, 1);
  const int64_t active = a.dim(B::weight, 1);
  const float *dweight = a.in<float>(B::dweight), *weight = a.in<float>(B::weight);
  const float *score = a.in<float>(B::score), *base = a.base<float>(B::dlogits);
  const int32_t* expert = a.in<int32_t>(B::expert);
  float* dlogits = a.out<float>(B::dlogits);
  if (!dlogits) return;
  a.team().ranges(tokens, kRouteTokens, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t row = t * experts, chosen = t * active;
      if (!base)
        std::fill_n(dlogits + row, experts, 0.0f);
      else if (base != dlogits)
        std::copy_n(base + row, experts, dlogits + row);
      if (expert[chosen] < 0) continue;  // padding
      float pull = 0;
      for (int64_t j = chosen; desc.normalise && j < chosen + active; ++j)
        pull += dweight[j] * weight[j];
      pull /= float(desc.scaling);
      for (int64_t j = chosen; j < chosen + active; ++j) {
        const int64_t at = row + expert[j];
        dlogits[at] += (1 - score[at]) * weight[j] * (dweight[j] - pull);
      }
    }
  });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

namespace {

HWY_EXPORT(RouteRows);

// A row of scores, the choice of one token and its groups, by thread; expert counts by task.
Workspace workspace(Specs in, const Desc& desc) {
  const int64_t tokens = in[Route::logits].shape[0], experts = in[Route::logits].shape[1];
  const int64_t tasks = (tokens + kRouteTokens - 1) / kRouteTokens;
  const auto& d = desc.as<Route::Desc>();
  return {.shared = size_t(tasks * experts) * sizeof(int32_t),
          .per_thread = size_t(experts + 3 * d.active + 2 * d.groups) * sizeof(float)};
}

}  // namespace

HWY_EXPORT(RouteBackwardRows);

constinit const Implementation route[] = {
    {.name = "cpu", .workspace = workspace, .run = [](const Args& a) {
       HWY_DYNAMIC_DISPATCH(RouteRows)(a);
     }}};
void route_backward(const Args& a) { HWY_DYNAMIC_DISPATCH(RouteBackwardRows)(a); }

}  // namespace birkhoff::cpu
#endif
