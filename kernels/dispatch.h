#pragma once
// Dispatch copies routed tokens into the experts' buffer, combine sums them back. Except for the
// weight they are duals of each other. kernels/route_layout.h defines the layout of the buffer;
// `source`, `row` and `offsets` are its outputs for this round, i32.
//
// Buffer rows from offsets[E] on are undefined: none of these operators reads or writes them.
// A token is in exactly one round; in all others its f (kernels/operator.h) is 0. A padding row is
// in no round, so its f is always 0. Sums over j are computed first, in order of j, and then added
// to the base (or to +0 if it is absent), so a token's values are bitwise identical for any number
// of rounds.
//
// x, buffer, y and their gradients are of storage type, weights are wide (kernels/storage.h).
// REQUIRES that source, row and offsets are from the same round; this is not checked.
#include "kernels/operator.h"

namespace birkhoff {

// buffer[i] = x[⌊source[i] / k⌋]  for i < offsets[E]
//   x [T, C], source [capacity], row [T, k], offsets [E + 1] → buffer [capacity, C]
struct Dispatch {
  enum In { x, source, row, offsets };
  enum Out { buffer };
};
extern const Operator kDispatch;

// dx[t] = Σ_j dbuffer[row[t, j]]
//   dbuffer [capacity, C], row [T, k] → dx [T, C]
struct DispatchBackward {
  enum In { dbuffer, row };
  enum Out { dx };
};
extern const Operator kDispatchBackward;

// y[t] = Σ_j weight[t, j] · buffer[row[t, j]]
//   buffer [capacity, C], weight [T, k], row [T, k], source [capacity], offsets [E + 1] → y [T, C]
struct Combine {
  enum In { buffer, weight, row, source, offsets };
  enum Out { y };
};
extern const Operator kCombine;

// dbuffer[i] = weight[source[i]] · dy[⌊source[i] / k⌋]  for i < offsets[E]
// dweight[t, j] = <dy[t], buffer[row[t, j]]>
//   dy [T, C], buffer, weight, row, source, offsets as above → dbuffer [capacity, C],
//   dweight [T, k]                        one pass over the rows of the buffer
struct CombineBackward {
  enum In { dy, buffer, weight, row, source, offsets };
  enum Out { dbuffer, dweight };
};
extern const Operator kCombineBackward;

inline constexpr int64_t kDispatchRows = 32;  // Rows per task.

}  // namespace birkhoff
