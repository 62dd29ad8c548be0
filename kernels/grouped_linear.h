#pragma once
// Linear layers of E experts, each applied to the rows routed to it. A buffer of R rows is sorted
// by expert: expert e has rows [offsets[e], offsets[e + 1]).
//
//   grouped_linear      x  [R, K], offsets i32 [E + 1], w [E, N, K] → y  [R, N]   y  = x·w[e]ᵀ
//   grouped_linear_dx   dy [R, N], offsets, w                       → dx [R, K]   dx = dy·w[e]
//   grouped_linear_dw   dy [R, N], x [R, K], offsets                → dw [E, N, K]
//                                                                      dw[e] = Σ_rows dyᵀ·x
//
// x, y, dy and dx are of storage type, w and dw are wide; w is rounded to the type of x or dy as it
// is read (kernels/storage.h). Throws InternalError unless 0 = offsets[0] ≤ … ≤ offsets[E] ≤ R.
// Rows from offsets[E] on are spare capacity: they are never read or written, not even to copy the
// base. An expert without rows gives dw[e] = base (or 0). In the cpu body a row's result depends,
// bit for bit, only on the row and its expert's w, and dw[e] only on expert e's rows in their
// order, wherever they are in the buffer. The cost counts all R rows, since that is what is planned
// for.
#include "kernels/operator.h"

namespace birkhoff {

struct GroupedLinear {
  enum In { x, offsets, w };
  enum Out { y };
};
extern const Operator kGroupedLinear;

struct GroupedLinearDx {
  enum In { dy, offsets, w };
  enum Out { dx };
};
extern const Operator kGroupedLinearDx;

struct GroupedLinearDw {
  enum In { dy, x, offsets };
  enum Out { dw };
};
extern const Operator kGroupedLinearDw;

}  // namespace birkhoff
