#pragma once
// How reference bodies access tensors: every dtype is read as double and rounded once, when set. So
// one plain loop is the oracle for every dtype, and with f64 slots it is the fp64 reference itself.
#include "kernels/operator.h"

namespace birkhoff::reference {

inline double element(DType type, const void* data, int64_t i) {
  return dispatch(type, [&](auto t) -> double {
    const auto value = static_cast<const decltype(t)*>(data)[i];
    if constexpr (std::is_same_v<decltype(t), bf16>)
      return to_float(value);
    else
      return double(value);
  });
}

class Input {
 public:
  Input(const Args& a, int i) : operand_(a.inputs[i]) {}
  // A factor of a product with input `other`; if that is bf16, elements are rounded to bf16.
  Input(const Args& a, int i, int other)
      : operand_(a.inputs[i]), rounded_(a.inputs[other].spec->dtype == DType::bf16) {}
  double operator[](int64_t i) const {
    const double x = element(operand_.spec->dtype, operand_.data, i);
    return rounded_ ? to_float(to_bf16(float(x))) : x;
  }

 private:
  Operand operand_;
  bool rounded_ = false;
};

class Output {
 public:
  Output(const Args& a, int k) : result_(a.outputs[k]) {}
  // The value that an update (Operator::updates) starts from.
  double base(int64_t i) const { return element(result_.spec->dtype, result_.base, i); }
  // out[i] = base[i] + value; does nothing if nothing reads the output.
  void set(int64_t i, double value) const {
    if (!result_.data) return;
    dispatch(result_.spec->dtype, [&](auto type) {
      using T = decltype(type);
      T& out = static_cast<T*>(result_.data)[i];
      const T* base = static_cast<const T*>(result_.base);
      if constexpr (std::is_same_v<T, bf16>)
        out = to_bf16(float(base ? to_float(base[i]) + value : value));
      else
        out = T(base ? double(base[i]) + value : value);
    });
  }

 private:
  Result result_;
};

}  // namespace birkhoff::reference
