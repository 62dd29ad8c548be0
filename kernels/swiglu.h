#pragma once
// SwiGLU (Shazeer, GLU Variants Improve Transformer, arXiv 2002.05202).
//
//   y = silu(gate)·up,   silu(g) = g·σ(g),   σ(g) = 1/(1 + e^−g)
//   x [R, 2F]: gate in the first F columns, up in the rest;  offsets i32 [E+1], may be absent
//   → y [R, F]     x, y and their gradients are of storage type (kernels/storage.h)
//
// With offsets, only the rows before offsets[E] hold tokens (routed buffers have a fixed capacity);
// the others are undefined and neither read nor written.
#include "kernels/operator.h"

namespace birkhoff {

struct Swiglu {
  enum In { x, offsets };
  enum Out { y };
};
extern const Operator kSwiglu;

// dgate = dy·up·σ·(1 + gate·(1 − σ)),   dup = dy·gate·σ;   dy [R, F] → dx [R, 2F], rows as above.
struct SwigluBackward {
  enum In { dy, x, offsets };
  enum Out { dx };
};
extern const Operator kSwigluBackward;
inline constexpr int64_t kSwigluRows = 16;  // Rows per task.

}  // namespace birkhoff
