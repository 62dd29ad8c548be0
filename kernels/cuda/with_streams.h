#pragma once
// Turns the number of streams into a compile-time constant.
#include <type_traits>

namespace birkhoff::cuda {

// Calls f with n, which is 1, 2, 4 or 8, as a compile-time constant.
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
