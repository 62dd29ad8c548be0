#include "tests/cuda/checker/clocks.h"

#include <algorithm>

#include "kernels/cuda/device/types.h"

namespace birkhoff::emulator {

using cuda::kWarp;

void BlockClocks::begin(unsigned threads) {
  now_.assign(threads, 1);
  at_barrier_.assign(threads, 0);
  in_warp_.assign(size_t(threads) * kWarp, 0);
}

bool BlockClocks::knows(unsigned thread, unsigned other, uint32_t clock) const {
  if (thread == other || at_barrier_[other] >= clock) return true;
  return thread / kWarp == other / kWarp && in_warp_[thread * kWarp + other % kWarp] >= clock;
}

// Each lane of the mask learns what any of them knew, and where each stands.
void BlockClocks::meet(unsigned warp, unsigned mask) {
  const auto each = [&](auto&& f) {
    for (unsigned lane = 0; lane < kWarp; ++lane)
      if (mask >> lane & 1) f(warp * kWarp + lane);
  };
  for (unsigned about = 0; about < kWarp; ++about) {
    uint32_t most = 0;
    each([&](unsigned t) { most = std::max(most, in_warp_[t * kWarp + about]); });
    if (mask >> about & 1) most = std::max(most, now_[warp * kWarp + about]);
    each([&](unsigned t) { in_warp_[t * kWarp + about] = most; });
  }
  each([&](unsigned t) { ++now_[t]; });
}

void BlockClocks::barrier() {
  at_barrier_ = now_;
  for (uint32_t& clock : now_) ++clock;
}

}  // namespace birkhoff::emulator
