#pragma once
// One output of a cpu body as scalar code sees it: the base rule, and outputs nobody reads.
#include "kernels/operator.h"

namespace birkhoff::cpu {

template <class T>
class ResultOf {
 public:
  ResultOf(const Args& a, int k) : out_(a.out<T>(k)), base_(a.base<T>(k)) {}
  // out[i] = base[i] + value; nothing where nobody reads the output.
  void set(int64_t i, T value) const {
    if (out_) out_[i] = base_ ? T(base_[i] + value) : value;
  }
  // Leaves the element at its base: f = 0 there.
  void keep(int64_t i) const {
    if (out_ && out_ != base_) out_[i] = base_ ? base_[i] : T(0);
  }

 private:
  T* out_;
  const T* base_;
};

}  // namespace birkhoff::cpu
