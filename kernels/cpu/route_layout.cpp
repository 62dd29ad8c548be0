#include "kernels/route_layout.h"

#include <algorithm>

#include "kernels/bodies.h"
#include "kernels/cpu/result_of.h"

namespace birkhoff::cpu {
namespace {

// A counting sort on one thread. It takes a few instructions per routed pair, for which dispatch
// moves a row of C floats.
void sort_by_expert(const Args& a) {
  const auto& desc = a.desc<RouteLayout::Desc>();
  const int64_t tokens = a.dim(RouteLayout::expert, 0), k = a.dim(RouteLayout::expert, 1);
  const int64_t part = desc.capacity / k, round = a.context->round;
  const int64_t begin = std::min(tokens, round * part) * k;
  const int64_t end = std::min(tokens, (round + 1) * part) * k;
  const int32_t* expert = a.in<int32_t>(RouteLayout::expert);
  const ResultOf<int32_t> offsets(a, RouteLayout::offsets), source(a, RouteLayout::source),
      row(a, RouteLayout::row), rounds(a, RouteLayout::rounds);

  // First the number of rows of each expert, later its next free row.
  int32_t* next = a.shared_workspace<int32_t>();
  std::fill_n(next, desc.experts, 0);
  for (int64_t i = begin; i < end; ++i) {
    const bool padding = expert[i] == -1 && expert[i - i % k] == -1;
    check(padding || (expert[i] >= 0 && expert[i] < desc.experts && expert[i - i % k] >= 0),
          "[route_layout] expert {} of token {} does not exist: there are {} experts", expert[i],
          i / k, desc.experts);
    if (!padding) ++next[expert[i]];
  }
  int32_t used = 0;
  for (int64_t e = 0; e < desc.experts; ++e) {
    offsets.set(e, used);
    used += next[e];
    next[e] = used - next[e];
  }
  offsets.set(desc.experts, used);
  for (int64_t i = 0; i < begin; ++i) row.set(i, -1);
  for (int64_t i = begin; i < end; ++i) {
    if (expert[i] < 0) {  // padding
      row.set(i, -1);
      continue;
    }
    const int32_t at = next[expert[i]]++;
    row.set(i, at);
    source.set(at, int32_t(i));
  }
  for (int64_t i = end; i < tokens * k; ++i) row.set(i, -1);
  for (int64_t i = used; i < desc.capacity; ++i) source.set(i, -1);
  rounds.set(0, int32_t(std::max<int64_t>(1, (tokens + part - 1) / part)));
}

}  // namespace

constinit const Implementation route_layout[] = {
    {.name = "cpu",
     .workspace =
         [](Specs, const Desc& d) {
           return Workspace{.shared = size_t(d.as<RouteLayout::Desc>().experts) * sizeof(int32_t)};
         },
     .run = sort_by_expert}};

}  // namespace birkhoff::cpu
