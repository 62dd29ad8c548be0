#pragma once
// Tensors on their way to the device and back, and how far a result may be from fp64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/cuda/support/device_array.h"
#include "tests/support/tensor.h"

namespace birkhoff::testing {

using Tensors = std::vector<Tensor>;

struct Bounded {
  Tensor value, bound;  // f64
};

constexpr double kHalf = 0x1p-24;   // a rounding of f32
constexpr double kStored = 0x1p-8;  // of bf16

template <class T>
std::vector<T> values_of(const Tensor& t) {
  std::vector<T> values(size_t(t.spec.count()));
  std::copy_n(t.bytes.data(), t.bytes.size(), reinterpret_cast<std::byte*>(values.data()));
  return values;
}

template <class T>
Tensor from_device(const DeviceArray<T>& array, TensorSpec spec) {
  Tensor t(std::move(spec));
  const auto values = array.values();
  std::copy_n(reinterpret_cast<const std::byte*>(values.data()), t.bytes.size(), t.bytes.data());
  return t;
}

// Each element, and all of them in norm, where errors do not add up as in the worst case. `base`:
// what was added.
inline void expect_within(const Tensor& got, const Bounded& want, const char* name, double norm,
                          const Tensor* base = nullptr) {
  double errors = 0, squares = 0;
  for (int64_t i = 0; i < got.spec.count(); ++i) {
    const double added = base ? base->at(i) : 0, value = want.value.at(i) + added;
    const double bound = want.bound.at(i) + (base ? kHalf * std::fabs(value) : 0);
    const double error = std::fabs(got.at(i) - value);
    ASSERT_LE(error, bound) << name << " " << i << ": " << value;
    errors += error * error, squares += value * value;
  }
  EXPECT_LE(std::sqrt(errors), norm * std::sqrt(squares)) << name;
}

}  // namespace birkhoff::testing
