#pragma once
// Expected results from the fp64 reference, and bounds on their errors.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/operator.h"
#include "tests/support/tensor.h"

namespace birkhoff::testing {

using Tensors = std::vector<Tensor>;

struct Bounded {
  Tensor value, bound;  // f64
};

constexpr double kHalf = 0x1p-24;   // relative error of rounding to f32
constexpr double kStored = 0x1p-8;  // relative error of storing as bf16

// Runs `body` with f64 everywhere. An input without a dtype is absent.
inline Tensors reference_of(void (*body)(const Args&), const Tensors& inputs,
                            const std::vector<Shape>& shapes, const Desc& desc) {
  const auto absent = [](const Tensor& t) { return t.spec.dtype == DType::none; };
  Tensors wide, outputs;
  for (const Tensor& t : inputs) wide.push_back(absent(t) ? t : t.as(DType::f64));
  for (const Shape& shape : shapes) outputs.emplace_back(TensorSpec{shape, DType::f64});
  std::vector<Operand> operands;
  std::vector<Result> results;
  for (const Tensor& t : wide) operands.push_back({&t.spec, absent(t) ? nullptr : t.bytes.data()});
  for (Tensor& t : outputs) results.push_back({&t.spec, t.bytes.data()});
  Context context;
  body({operands, results, &desc, &context});
  return outputs;
}

inline TensorSpec bf16s(Shape shape) { return {std::move(shape), DType::bf16}; }
inline TensorSpec f32s(Shape shape) { return {std::move(shape), DType::f32}; }

// Checks each element against its bound, and all of them in norm, where errors do not add up as in
// the worst case. base: what was added to the result, if anything.
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
