#pragma once
// The number of streams as a constant.
#include <type_traits>

namespace birkhoff::cuda {

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
