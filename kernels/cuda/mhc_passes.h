#pragma once
// The passes of mhc_open_backward, one behind the other in a stream; not checked, not called by
// others.
#include <type_traits>

#include "kernels/cuda/mhc_backward.h"
#include "kernels/cuda/mhc_layout.h"

namespace birkhoff::cuda {

void mhc_coefficients_backward(const MhcOpenBackwardArgs& args, cudaStream_t stream);  // (b)
void mhc_streams_backward(const MhcOpenBackwardArgs& args, cudaStream_t stream);       // (c)

// Calls f with n as a constant.
template <class F>
void with_streams(int n, F&& f) {
  switch (n) {
    case 1:
      return f(std::integral_constant<int, 1>());
    case 2:
      return f(std::integral_constant<int, 2>());
    case 4:
      return f(std::integral_constant<int, 4>());
    default:
      return f(std::integral_constant<int, 8>());
  }
}

}  // namespace birkhoff::cuda
