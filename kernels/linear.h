#pragma once
// Linear layer without bias, y = x·wᵀ, and its two gradients. They are separate operators so that a
// schedule may defer the weight gradient.
//
//   linear      x  [T, K], w [N, K]           → y  [T, N]      y  = x·wᵀ
//   linear_dx   dy [T, N], w [N, K], x absent → dx [T, K]      dx = dy·w
//   linear_dw   dy [T, N], x [T, K]           → dw [N, K]      dw = dyᵀ·x
//
// x, y, dx and dy are of storage type, w and dw are wide (kernels/storage.h); w is rounded to the
// type of x as it is read. LinearDesc can make y and dy wide and leave w unrounded. A wide dy does
// not determine the type of dx, so linear_dx is then also given x and uses only its type. In the
// cpu body row t of y or dx depends, bit for bit, only on row t of x or dy and on w, for any T
// (kernels/cpu/matmul.h).
#include "kernels/operator.h"

namespace birkhoff {

struct LinearDesc {
  bool wide_y = false;  // y is wide; used for logits.
  bool full_w = false;  // w is not rounded; used by the router.
  static void visit(auto& d, auto&& field) {
    if (d.wide_y) field("wide_y", true);
    if (d.full_w) field("full_w", true);
  }
};

struct Linear {
  enum In { x, w };
  enum Out { y };
  using Desc = LinearDesc;
};
extern const Operator kLinear;

struct LinearDx {
  enum In { dy, w, x };
  enum Out { dx };
  using Desc = LinearDesc;
};
extern const Operator kLinearDx;

struct LinearDw {
  enum In { dy, x };
  enum Out { dw };
};
extern const Operator kLinearDw;

}  // namespace birkhoff
