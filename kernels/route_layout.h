#pragma once
// Assigns routed tokens to rows of a buffer of fixed capacity. Tokens that do not fit are left to
// further rounds. Each round takes a range of source tokens: round r (Context::round) has tokens
// [r·P, (r+1)·P) with P = ⌊capacity / k⌋. So all choices of a token are in one round, whatever the
// routing, and its sum over experts has the same order for any number of rounds. Within a round the
// rows are sorted by expert, then token, then j.
//
// A token whose experts are −1 is padding (kernels/route.h): it has no buffer row in any round. It
// still counts as a source token, so that the rounds depend only on T and the capacity.
//
//   offsets[e] … offsets[e + 1]   rows of expert e; offsets[E] rows are in use
//   source[i]                     t·k + j of buffer row i, −1 from row offsets[E] on
//   row[t, j]                     buffer row of the pair, −1 when the token is not in this round
//                                 or is padding
//   rounds                        max(1, ⌈T / P⌉)
//   expert i32 [T, k] → offsets i32 [E + 1], source i32 [capacity], row i32 [T, k], rounds i32 [1]
//                       all are saved outputs
//
// Throws InternalError on an expert id outside [−1, E) among the tokens of the round, and on a
// token that has both −1 and other experts. There is no gradient.
#include "kernels/operator.h"

namespace birkhoff {

struct RouteLayout {
  enum In { expert };
  enum Out { offsets, source, row, rounds };
  struct Desc {
    int64_t experts = 1;
    int64_t capacity = 1;  // rows of the buffer, ≥ k
    static void visit(auto& d, auto&& field) {
      field("experts", d.experts), field("capacity", d.capacity);
    }
  };
};
extern const Operator kRouteLayout;

}  // namespace birkhoff
