#pragma once
// Routed tokens into the experts' buffer and back. Layout of the buffer: kernels/route_layout.h;
// `source`, `row`, `offsets` are its outputs for this round, i32. Duals of each other but for the
// weight.
//
// Rows of a buffer from offsets[E] on are undefined: neither read nor written, by any of these.
// A token is in one round only; in the others its f is 0. A row of padding is in no round, so its f
// is always 0. Sums over j are made first, in order of j, and then added to the base (absent: to
// +0), so that a token's values have the same bits for any number of rounds.
//
// x, buffer, y and their gradients are of storage type, weights wide (kernels/storage.h). Trusts
// that source, row and offsets belong together.
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

inline constexpr int64_t kDispatchRows = 32;  // a task

}  // namespace birkhoff
