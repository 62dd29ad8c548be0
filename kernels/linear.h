#pragma once
// Linear layer without bias: y = x·wᵀ, and its two gradients, separate operators so that a
// schedule may defer the weight's.
//
//   linear      x  [T, K], w [N, K]           → y  [T, N]      y  = x·wᵀ
//   linear_dx   dy [T, N], w [N, K], x absent → dx [T, K]      dx = dy·w
//   linear_dw   dy [T, N], x [T, K]           → dw [N, K]      dw = dyᵀ·x
//
// x, y, dx and dy are of storage type, w and dw wide (kernels/storage.h); w is read as x is stored.
// Otherwise by LinearDesc: y and dy wide, w as it is. A dy that is wide does not tell what dx is to
// be: then linear_dx is given x, of which it takes the type alone. On the cpu row t of y or dx is a
// function of row t of x or dy (and of w) alone, bit for bit, whatever T is (kernels/cpu/matmul.h).
#include "kernels/operator.h"

namespace birkhoff {

struct LinearDesc {
  bool wide_y = false;  // y is wide: logits
  bool full_w = false;  // w is not rounded: the router
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
