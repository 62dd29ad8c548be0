// Memory-bound: 28 bytes per element against a dozen operations. A thread handles four elements,
// 16 bytes of each array; the remainder of the shard is handled element by element.
#include "kernels/cuda/adamw.h"

#include <cmath>

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/flat.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 256;

struct Rates {
  float rate1, rate2, eps, decay;  // rates: 1 − beta, computed in double
};

struct Step {
  Rates rates;
  float lr, c1, root_c2, scale;

  __device__ void operator()(float g, float& p, float& m, float& v) const {
    const float grad = scale * g;
    m = fmaf(rates.rate1, grad - m, m);
    v = fmaf(rates.rate2, grad * grad - v, v);
    const float root = fmaf(sqrtf(v), root_c2, rates.eps);
    p = fmaf(-lr, fmaf(rates.decay, p, (m * c1) / root), p);
  }
};

template <class T>
__device__ inline void update(const AdamWArgs& a, const Step& step, int64_t i) {
  constexpr int kN = sizeof(T) / sizeof(float);
  const auto of = [&](auto* array) { return reinterpret_cast<T*>(array) + i; };
  const T g = load<Cache::streaming>(reinterpret_cast<const T*>(a.g) + i);
  T p = load<Cache::streaming>(of(a.p)), m = load<Cache::streaming>(of(a.m)),
    v = load<Cache::streaming>(of(a.v));
  for (int e = 0; e < kN; ++e) step(g.v[e], p.v[e], m.v[e], v.v[e]);
  store<Cache::streaming>(of(a.p), p);
  store<Cache::streaming>(of(a.m), m);
  store<Cache::streaming>(of(a.v), v);
}

__global__ void __launch_bounds__(kThreads) adamw_elements(AdamWArgs a, Rates rates) {
  const unsigned lane = thread() % kWarp;
  float mine = 0;  // one load per warp of hyper and scale
  if (lane < 3) mine = load(a.hyper + lane);
  if (lane == 3) mine = load(a.scale);
  Step step{rates, shuffle(kFullMask, mine, 0), shuffle(kFullMask, mine, 1),
            sqrtf(shuffle(kFullMask, mine, 2)), shuffle(kFullMask, mine, 3)};
  if (!std::isfinite(step.scale)) return;
  for_flat<4>(
      a.count, [&](int64_t pack) { update<Pack<float, 4>>(a, step, pack); },
      [&](int64_t i) { update<Pack<float, 1>>(a, step, i); });
}

}  // namespace

void adamw(const AdamWArgs& a, cudaStream_t stream) {
  require_aligned("adamw", {a.g, a.p, a.m, a.v});
  if (a.count == 0) return;
  const Rates rates{float(1 - a.beta1), float(1 - a.beta2), float(a.eps), float(a.weight_decay)};
  launch("adamw", adamw_elements,
         {.grid = {flat_blocks(a.count, 4, kThreads)}, .block = {kThreads}, .stream = stream}, a,
         rates);
}

}  // namespace birkhoff::cuda
