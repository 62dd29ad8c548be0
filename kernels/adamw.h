#pragma once
// AdamW: Adam (arXiv 1412.6980) with decoupled weight decay (Loshchilov & Hutter, arXiv
// 1711.05101, algorithm 2, in torch.optim.AdamW's convention: decay is lr · weight_decay).
//
//   g' = scale · g
//   m += (1 − beta1) · (g' − m)
//   v += (1 − beta2) · (g'² − v)
//   p −= lr · ( m·c1 / (√v·√c2 + eps) + weight_decay · p )           in place (updates = true)
//   g [any shape], hyper [4] = { lr, c1 = 1 / (1 − beta1^t), c2 = 1 / (1 − beta2^t), 0 }, t from 1,
//   scale [1] (clip_scale) → p, m, v, each as g
//   All f32. On the reference device also f64, with hyper and scale f32 or f64.
//
// If scale is Inf or NaN, nothing changes. lr and the powers of beta are data, not attributes, so
// that the program is the same in every step.
//
// Denormals matter (mHC trains with eps 1e-20), so flush-to-zero must be off. Each moment is moved
// by its distance to the new value. That rounds v twice per step, by at most h/2 = 2^-150 each (h
// is the smallest denormal), once before the factor 1 − beta2. So for any gradient at beta2 = 0.95
// √v·√c2 is off by at most √(h/2 · (2 − beta2) / (1 − beta2)) = 1.2e-22, which is 1.2 % of eps
// 1e-20 (1.7 % without FMA, which adds a third rounding). √c2 multiplies √v rather than v so as not
// to add another error. 1 − beta is computed in double.
//
// Valid for |g'| < 1.8e19: beyond that g'² overflows, and p becomes NaN one step later.
#include "kernels/operator.h"

namespace birkhoff {

struct AdamW {
  enum In { g, hyper, scale };
  enum Out { p, m, v };
  struct Desc {
    double beta1 = 0.9, beta2 = 0.95, eps = 1e-20, weight_decay = 0;
    static void visit(auto& d, auto&& field) {
      field("beta1", d.beta1), field("beta2", d.beta2), field("eps", d.eps),
          field("weight_decay", d.weight_decay);
    }
  };
};
extern const Operator kAdamW;

inline constexpr int64_t kAdamWTask = 16384;  // Elements per task: 256 KiB in four arrays.

}  // namespace birkhoff
