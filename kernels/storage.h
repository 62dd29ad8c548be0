#pragma once
// The dtypes of a step's floating-point tensors. Activations (x, y, dx, dy, residual streams) have
// one storage type: f32, bf16, or f64 on the reference device. All other floating-point tensors
// (parameters, their gradients, statistics, coefficients and routing) are wide: f32, or f64 where x
// is f64.
//
// bf16 is for storage only (base/dtype.h): a body widens what it reads, computes in f32, and rounds
// what it writes once, to nearest even: y = round(base + f(in)). Both factors of a matrix product
// are of storage type: a parameter is rounded as it is read, unless the operator's contract says
// that it is not.
#include "kernels/operator.h"

namespace birkhoff {

constexpr DType wide(DType storage) { return storage == DType::f64 ? DType::f64 : DType::f32; }

// Calls f with a float or a bf16, whichever `storage` is. REQUIRES one of these two, the activation
// types of the cpu bodies.
template <class F>
decltype(auto) with_storage(DType storage, F&& f) {
  if (storage == DType::bf16) return f(bf16{});
  check(storage == DType::f32, "the CPU does not support activations in {}", name_of(storage));
  return f(float{});
}

}  // namespace birkhoff
