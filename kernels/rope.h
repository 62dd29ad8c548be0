#pragma once
// Rotary position embedding (Su et al., RoFormer, arXiv 2104.09864 §3.4.2), interleaved pairs.
//
//   of each head's D features the last `dims` are rotated in pairs (2i, 2i+1), i < dims/2:
//     y[2i]   = x[2i]·cos a − x[2i+1]·sin a        a = position·theta^(−2i/dims)
//     y[2i+1] = x[2i]·sin a + x[2i+1]·cos a        (−a with `inverse`)
//   the first D − dims are copied.
//   x [T, heads·D], position i32 [T] → y [T, heads·D]     x, y of storage type (kernels/storage.h)
//
// The angle and its reduction to (−π, π] are in double, so that late positions turn as exactly as
// early ones. The gradient is the rotation back: this operator with `inverse` flipped.
#include "kernels/operator.h"

namespace birkhoff {

struct Rope {
  enum In { x, position };
  enum Out { y };
  struct Desc {
    int64_t heads = 1;
    int64_t dims = 0;  // even, ≤ D
    double theta = 10000;
    bool inverse = false;
    static void visit(auto& d, auto&& field) {
      field("heads", d.heads), field("dims", d.dims), field("theta", d.theta);
      field("inverse", d.inverse);
    }
  };
};
extern const Operator kRope;
inline constexpr int64_t kRopeTokens = 16;  // a task

}  // namespace birkhoff
