// Adds up the splits' partial sums of the weights' gradients, in order.
#include "kernels/cuda/channels.h"
#include "kernels/cuda/mhc_passes.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 256;

__global__ void __launch_bounds__(kThreads) sum_parts(SplitSums a, int64_t packs) {
  const int64_t i = int64_t{block_index().x} * kThreads + thread();
  if (i >= packs) return;
  const auto* parts = reinterpret_cast<const Floats*>(a.parts);
  Floats sum = {};
  for (unsigned split = 0; split < a.splits; ++split) {
    const auto part = load<Cache::streaming>(parts + split * packs + i);
    for (int e = 0; e < 4; ++e) sum.v[e] += part.v[e];
  }
  if (a.base) {
    const auto base = load<Cache::streaming>(reinterpret_cast<const Floats*>(a.base) + i);
    for (int e = 0; e < 4; ++e) sum.v[e] += base.v[e];
  }
  store<Cache::streaming>(reinterpret_cast<Floats*>(a.sum) + i, sum);
}

}  // namespace

void sum_splits(const SplitSums& a, cudaStream_t stream) {
  const int64_t packs = a.count / 4;
  const auto blocks = unsigned((packs + kThreads - 1) / kThreads);
  launch("sum_splits", sum_parts, {.grid = {blocks}, .block = {kThreads}, .stream = stream}, a,
         packs);
}

}  // namespace birkhoff::cuda
