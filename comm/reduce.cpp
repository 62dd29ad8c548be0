#include "comm/reduce.h"

#include <algorithm>
#include <cmath>

namespace birkhoff {
namespace {

// Elements summed at a time: the sums stay in the first-level cache while all ranks are added.
constexpr int64_t kBlock = 1024;

template <class T>
struct Sum {  // the type in which T is summed
  using Type = T;
};
template <>
struct Sum<bf16> {
  using Type = float;
};
template <>
struct Sum<int32_t> {
  using Type = uint32_t;  // wraps; a signed overflow would be undefined
};
template <>
struct Sum<int64_t> {
  using Type = uint64_t;
};

template <class To, class T>
To widen(T x) {
  if constexpr (std::is_same_v<T, bf16>)
    return to_float(x);
  else
    return To(x);
}

template <class T, class S>
T narrow(S x) {
  if constexpr (std::is_same_v<T, bf16>)
    return to_bf16(x);
  else
    return T(x);
}

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::isnan(x);
  else
    return false;
}

template <class T>
using Largest = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

template <class T>
void sum(std::span<const void* const> inputs, T* out, int64_t begin, int64_t n) {
  using S = typename Sum<T>::Type;
  S sums[kBlock];
  for (size_t r = 0; r < inputs.size(); ++r) {
    const T* x = static_cast<const T*>(inputs[r]) + begin;
    if (r == 0)
      for (int64_t i = 0; i < n; ++i) sums[i] = widen<S>(x[i]);
    else
      for (int64_t i = 0; i < n; ++i) sums[i] = sums[i] + widen<S>(x[i]);
  }
  for (int64_t i = 0; i < n; ++i) out[begin + i] = narrow<T>(sums[i]);
}

template <class T>
void largest(std::span<const void* const> inputs, T* out, int64_t begin, int64_t n) {
  using S = Largest<T>;
  S found[kBlock];
  for (size_t r = 0; r < inputs.size(); ++r) {
    const T* x = static_cast<const T*>(inputs[r]) + begin;
    for (int64_t i = 0; i < n; ++i) {
      const S value = widen<S>(x[i]);
      // A NaN is taken and stays, since nothing compares greater.
      if (r == 0 || value > found[i] || is_nan(value)) found[i] = value;
    }
  }
  for (int64_t i = 0; i < n; ++i) out[begin + i] = narrow<T>(found[i]);
}

}  // namespace

void reduce(Reduction reduction, DType dtype, std::span<const void* const> inputs, void* out,
            int64_t count) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      const int64_t n = std::min(kBlock, count - begin);
      if (reduction == Reduction::sum)
        sum(inputs, static_cast<T*>(out), begin, n);
      else
        largest(inputs, static_cast<T*>(out), begin, n);
    }
  });
}

}  // namespace birkhoff
