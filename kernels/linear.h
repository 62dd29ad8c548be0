#pragma once
// Linear layer without bias: y = x·wᵀ, and its two gradients, separate operators so that a
// schedule may defer the weight's.
//
//   linear      x  [T, K], w [N, K] → y  [T, N]      y  = x·wᵀ
//   linear_dx   dy [T, N], w [N, K] → dx [T, K]      dx = dy·w
//   linear_dw   dy [T, N], x [T, K] → dw [N, K]      dw = dyᵀ·x
//
// All of one floating dtype. On the cpu row t of y or dx is a function of row t of x or dy (and of
// w) alone, bit for bit, whatever T is (kernels/cpu/matmul.h).
#include "kernels/operator.h"

namespace birkhoff {

struct Linear {
  enum In { x, w };
  enum Out { y };
};
extern const Operator kLinear;

struct LinearDx {
  enum In { dy, w };
  enum Out { dx };
};
extern const Operator kLinearDx;

struct LinearDw {
  enum In { dy, x };
  enum Out { dw };
};
extern const Operator kLinearDw;

}  // namespace birkhoff
