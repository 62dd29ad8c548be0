#pragma once
// Small tensors for tests: a spec and bytes, read and written as double.
#include <cstring>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/shape.h"

namespace birkhoff::testing {

struct Tensor {
  TensorSpec spec;
  std::vector<std::byte> bytes;

  Tensor() = default;
  explicit Tensor(TensorSpec s, std::byte fill = std::byte{0xFF})  // NaN by default
      : spec(std::move(s)), bytes(spec.bytes(), fill) {}
  Tensor(TensorSpec s, const std::vector<double>& values) : Tensor(std::move(s)) {
    check(int64_t(values.size()) == spec.count(), "{} values for {}", values.size(),
          to_string(spec));
    for (size_t i = 0; i < values.size(); ++i) set(int64_t(i), values[i]);
  }

  double at(int64_t i) const {
    return dispatch(spec.dtype, [&](auto type) -> double {
      decltype(type) v;
      std::memcpy(&v, bytes.data() + size_t(i) * sizeof v, sizeof v);
      if constexpr (std::is_same_v<decltype(type), bf16>)
        return to_float(v);
      else
        return double(v);
    });
  }
  void set(int64_t i, double value) {
    dispatch(spec.dtype, [&](auto type) {
      decltype(type) v;
      if constexpr (std::is_same_v<decltype(type), bf16>)
        v = to_bf16(float(value));
      else
        v = decltype(type)(value);
      std::memcpy(bytes.data() + size_t(i) * sizeof v, &v, sizeof v);
    });
  }
  std::vector<double> values() const {
    std::vector<double> v;
    for (int64_t i = 0; i < spec.count(); ++i) v.push_back(at(i));
    return v;
  }
  // The same values in another dtype, rounded if it is narrower.
  Tensor as(DType t) const { return {TensorSpec{spec.shape, t}, values()}; }
};

// Normal values with standard deviation `scale` around `mean`, a function of (name, index).
inline Tensor random_tensor(TensorSpec spec, std::string_view name, double scale = 1,
                            double mean = 0) {
  Tensor t(std::move(spec));
  const Random random(7, name);
  for (int64_t i = 0; i < t.spec.count(); ++i) t.set(i, mean + scale * random.normal(uint64_t(i)));
  return t;
}

}  // namespace birkhoff::testing
