#pragma once
// Linear layers of E experts on the rows routed to them, sorted by expert: expert e has rows
// offsets[e] … offsets[e + 1] of a buffer of R rows.
//
//   grouped_linear      x  [R, K], offsets i32 [E + 1], w [E, N, K] → y  [R, N]   y  = x·w[e]ᵀ
//   grouped_linear_dx   dy [R, N], offsets, w                       → dx [R, K]   dx = dy·w[e]
//   grouped_linear_dw   dy [R, N], x [R, K], offsets                → dw [E, N, K]
//                                                                      dw[e] = Σ_rows dyᵀ·x
//
// x, y, dy and dx are of storage type, w and dw wide; w is read as x or dy is stored
// (kernels/storage.h). 0 = offsets[0] ≤ … ≤ offsets[E] ≤ R: else InternalError. Rows from
// offsets[E] on are room that this batch does not need: never read, never written, not even by
// base. An expert without rows gives dw[e] = base (or 0). On the cpu a row's result is a function
// of the row and its expert's w alone, and dw[e] one of expert e's rows in their order, bit for
// bit, wherever they sit in the buffer. The cost counts all R rows: what is planned for.
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
