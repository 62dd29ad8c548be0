#pragma once
// A loop, f(0), …, f(kCount − 1), that is unrolled whatever its size, so that the arrays it indexes
// stay in registers.
#include <utility>

#include "kernels/cuda/device/device.h"

namespace birkhoff::cuda {

template <int kCount, class F>
__device__ inline void unrolled(F&& f) {
  [&]<int... kI>(std::integer_sequence<int, kI...>) { (f(kI), ...); }
  (std::make_integer_sequence<int, kCount>());
}

}  // namespace birkhoff::cuda
