#include "kernels/route_layout.h"

#include <algorithm>
#include <tuple>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void route_layout(const Args& a) {
  const Input expert(a, RouteLayout::expert);
  const Output offsets(a, RouteLayout::offsets), source(a, RouteLayout::source),
      row(a, RouteLayout::row), rounds(a, RouteLayout::rounds);
  const auto& desc = a.desc<RouteLayout::Desc>();
  const int64_t tokens = a.dim(RouteLayout::expert, 0), k = a.dim(RouteLayout::expert, 1);
  const int64_t part = desc.capacity / k;

  std::vector<std::tuple<int64_t, int64_t, int64_t>> rows;  // expert, token, j
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < k; ++j) {
      if (t / part != a.context->round) continue;
      const int64_t e = int64_t(expert[t * k + j]);
      const bool padding = expert[t * k] == -1;
      check(padding ? e == -1 : e >= 0 && e < desc.experts,
            "[route_layout] expert {} of token {} does not exist: there are {} experts", e, t,
            desc.experts);
      if (!padding) rows.emplace_back(e, t, j);
    }
  std::sort(rows.begin(), rows.end());

  std::vector<int64_t> row_of(static_cast<size_t>(tokens * k), -1);
  for (int64_t i = 0; i < desc.capacity; ++i) {
    const bool used = i < int64_t(rows.size());
    int64_t flat = -1;
    if (used) flat = std::get<1>(rows[size_t(i)]) * k + std::get<2>(rows[size_t(i)]);
    if (used) row_of[size_t(flat)] = i;
    source.set(i, double(flat));
  }
  for (int64_t i = 0; i < tokens * k; ++i) row.set(i, double(row_of[size_t(i)]));
  for (int64_t e = 0; e <= desc.experts; ++e)
    offsets.set(e, double(std::count_if(rows.begin(), rows.end(),
                                        [&](const auto& r) { return std::get<0>(r) < e; })));
  rounds.set(0, double(std::max<int64_t>(1, (tokens + part - 1) / part)));
}

}  // namespace birkhoff::reference
