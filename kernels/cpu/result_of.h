#pragma once
// Scalar access to one output of a cpu body, by the base rule (kernels/operator.h). Skips outputs
// that nothing reads.
#include "kernels/operator.h"

namespace birkhoff::cpu {

template <class T>
class ResultOf {
 public:
  ResultOf(const Args& a, int k) : out_(a.out<T>(k)), base_(a.base<T>(k)) {}
  // out[i] = base[i] + value; does nothing if nothing reads the output.
  void set(int64_t i, T value) const {
    if (out_) out_[i] = base_ ? T(base_[i] + value) : value;
  }
  // Sets the element to its base, which means f = 0.
  void keep(int64_t i) const {
    if (out_ && out_ != base_) out_[i] = base_ ? base_[i] : T(0);
  }

 private:
  T* out_;
  const T* base_;
};

}  // namespace birkhoff::cpu
