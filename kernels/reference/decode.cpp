#include "kernels/decode.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void cache_write(const Args& a) {
  const Input rows(a, CacheWrite::rows), length(a, CacheWrite::length);
  const auto from = int64_t(length[0]) * a.dim(CacheWrite::rows, 1);
  const Result& cache = a.outputs[CacheWrite::cache];
  // An update overwrites, whereas Output::set adds to the base, so this result has no base.
  const Result plain{cache.spec, cache.data, nullptr};
  const Args set{a.inputs, {&plain, 1}, a.call_desc, a.context};
  for (int64_t i = 0; i < a.count(CacheWrite::rows); ++i) Output(set, 0).set(from + i, rows[i]);
}

void attention_decode(const Args& a) {
  using A = AttentionDecode;
  const Input q(a, A::q), k(a, A::k_cache), v(a, A::v_cache), length(a, A::length);
  const Output o(a, A::o);
  const auto& d = a.desc<A::Desc>();
  const int64_t width = a.dim(A::q, 1) / d.heads, value = a.dim(A::v_cache, 1) / d.heads;
  for (int64_t t = 0; t < a.dim(A::q, 0); ++t)
    for (int64_t h = 0; h < d.heads; ++h) {
      const int64_t keys = int64_t(length[0]) + t + 1, query = (t * d.heads + h) * width;
      std::vector<double> p;
      for (int64_t j = 0; j < keys; ++j) {
        double s = 0;
        for (int64_t i = 0; i < width; ++i) s += q[query + i] * k[(j * d.heads + h) * width + i];
        p.push_back(d.scale * s);
      }
      const double top = *std::max_element(p.begin(), p.end());
      double sum = 0;
      for (double& s : p) sum += s = std::exp(s - top);
      for (int64_t i = 0; i < value; ++i) {
        double mean = 0;
        for (int64_t j = 0; j < keys; ++j)
          mean += p[size_t(j)] / sum * v[(j * d.heads + h) * value + i];
        o.set((t * d.heads + h) * value + i, mean);
      }
    }
}

}  // namespace birkhoff::reference
