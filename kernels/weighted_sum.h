#pragma once
// Sums the losses of a micro-batch's tokens, or any other total that must not depend on the order
// of its terms.
//
//   y = scale · Σ_t value[t]     the sum is exact (base/exact_sum.h), rounded to f64, then scaled
//   value [T], scale [1], each f32 or f64 → y f64 [1]
//
// y is NaN if any value is Inf or NaN. Only value has a gradient; scale is a constant.
#include "kernels/operator.h"

namespace birkhoff {

struct WeightedSum {
  enum In { value, scale };
  enum Out { y };
};
extern const Operator kWeightedSum;

// dvalue[t] = dy · scale, in double, rounded once to the dtype of value.
// `value` gives shape and dtype; its elements are not read.
//   dy f64 [1], scale [1], value [T] → dvalue [T]
struct BroadcastScale {
  enum In { dy, scale, value };
  enum Out { dvalue };
};
extern const Operator kBroadcastScale;

}  // namespace birkhoff
