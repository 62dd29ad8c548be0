#pragma once
// A loop that is unrolled whatever the compiler thinks of its size, so that what it indexes stays
// in registers: f(0), …, f(kCount − 1).
#include <utility>

#include "kernels/cuda/device/device.h"

namespace birkhoff::cuda {

template <int kCount, class F>
__device__ inline void unrolled(F&& f) {
  [&]<int... kI>(std::integer_sequence<int, kI...>) { (f(kI), ...); }
  (std::make_integer_sequence<int, kCount>());
}

}  // namespace birkhoff::cuda
