#pragma once
// The gradient norm, exact, and the clip factor (Pascanu et al., arXiv 1211.5063, algorithm 1).
//
// squared_sum:  acc = Σ g², as the limbs of an exact fixed-point sum (base/exact_sum.h), canonical
//               for this call, followed by the number of elements that are not finite. By the base
//               rule, out = base + f in integers, the sums of tensors and of ranks (an integer
//               all-reduce) add up exactly and in any order, up to 2^30 of them.
//   g [any shape] f32 (f64, on the reference device, is rounded to f32) → acc i64 [kNormLimbs]
//
// clip_scale:   norm = √Σ g², scale = min(1, max_norm / norm); 1 when norm is 0 or max_norm is 0
//               (no clipping). Both are NaN when an element was not finite; adamw then changes
//               nothing.
//   acc i64 [kNormLimbs] → scale f32 [1], norm f64 [1]
//
// Neither operator has a gradient.
#include "base/exact_sum.h"
#include "kernels/operator.h"

namespace birkhoff {

inline constexpr int64_t kNormLimbs = kFloatLimbs + 1;

struct SquaredSum {
  enum In { g };
  enum Out { acc };
};
extern const Operator kSquaredSum;
// Elements per task.
inline constexpr int64_t kSquaredSumTask = 65536;

struct ClipScale {
  enum In { acc };
  enum Out { scale, norm };
  struct Desc {
    double max_norm = 1;  // 0: no clipping
    static void visit(auto& d, auto&& field) { field("max_norm", d.max_norm); }
  };
};
extern const Operator kClipScale;

}  // namespace birkhoff
