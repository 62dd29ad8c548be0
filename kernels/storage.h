#pragma once
// What the floating tensors of a step are made of. Activations (x, y, dx, dy, streams) are of one
// storage type: f32, bf16, or f64 on the reference device. Everything else that floats, parameters,
// their gradients, statistics, coefficients and routing, is wide: f32, f64 where x is f64.
//
// bf16 is storage (base/dtype.h): a body widens what it reads, computes in f32, and rounds once, to
// nearest even, what it writes: y = round(base + f(in)). Both factors of a matrix product are of
// storage type: a parameter is rounded as it is read, unless the contract says that it is not.
#include "kernels/operator.h"

namespace birkhoff {

constexpr DType wide(DType storage) { return storage == DType::f64 ? DType::f64 : DType::f32; }

// Calls f with a float or a bf16, whichever `storage` is. REQUIRES one of the two: the types of the
// cpu's activations.
template <class F>
decltype(auto) with_storage(DType storage, F&& f) {
  if (storage == DType::bf16) return f(bf16{});
  check(storage == DType::f32, "the CPU does not support activations in {}", name_of(storage));
  return f(float{});
}

}  // namespace birkhoff
