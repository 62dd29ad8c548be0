#pragma once
// Routing of tokens to experts: DeepSeek-V3, arXiv 2412.19437, eq. 12-16, with the loss-free
// balancing bias of arXiv 2408.15664. The bias affects the choice of experts and nothing else.
//
//   score = sigmoid(logits)
//   key   = score + bias; a key that is NaN counts as −∞, so that ids are always valid
//   kept groups:   the experts form `groups` groups of E / groups neighbours. A group's key is the
//                  sum of the two largest keys in it (the only one, where it has one expert); the
//                  `active_groups` groups with the largest keys are kept
//   expert[t, ·] = the `active` experts of the kept groups with the largest keys, in descending
//                  order. Among equal keys the lower index comes first, for groups and for experts
//   weight[t, j] = scaling · s_j / Σ_i s_i,   s_j = score[t, expert[t, j]]   (normalise)
//                  scaling · s_j                                             (otherwise)
//   load[e]      = number of pairs (t, j) with expert[t, j] = e
//   logits [T, E], bias [E], position i32 [T] → weight [T, active], expert i32 [T, active],
//                                               score [T, E], load i32 [E]
//   logits, weight, score: f32 or f64; bias: f32 or as logits
//
// A row with position < 0 is padding and represents no token (engine/data/samples.h). All its
// experts are −1, its weights and scores are 0, load does not count it, and its logits are not
// read.
//
// No expert outside the kept groups is ever chosen, whatever the signs of the keys. transformers
// 5.24 and DeepSeek's own code mask the other groups with −∞, which has the same effect. Older
// releases of transformers masked with 0: wherever fewer than `active` experts of the kept groups
// had a positive key, they chose experts of other groups instead.
//
// Σ s can underflow: in f32 every score is 0 below a logit of −104. So when m, the largest of the
// chosen logits, is below −50, normalised weights are computed from scores multiplied by e^−m:
// there 1 + e^l rounds to 1, s = e^l, and weight is the softmax of the chosen logits, whose
// denominator is ≥ 1. Weights are finite for finite logits; NaN logits give NaN weights.
//
// load accumulates over micro-batches by the base rule; expert, score and load are saved outputs.
// bias gets no gradient.
#include "kernels/operator.h"

namespace birkhoff {

struct Route {
  enum In { logits, bias, position };
  enum Out { weight, expert, score, load };
  struct Desc {
    int64_t active = 1;  // 1 … experts of the kept groups
    double scaling = 1;  // > 0
    bool normalise = true;
    int64_t groups = 1;         // divides E
    int64_t active_groups = 1;  // 1 … groups
    static void visit(auto& d, auto&& field) {
      field("active", d.active), field("scaling", d.scaling), field("normalise", d.normalise);
      field("groups", d.groups), field("active_groups", d.active_groups);
    }
  };
};
extern const Operator kRoute;

// dlogits[t, expert[t, j]] = (1 − s_j) · weight_j · (dweight_j − pull),  0 for all other experts;
// pull = Σ_i dweight_i · weight_i / scaling (normalise), 0 otherwise. A padding row, whose experts
// are −1, has dlogits 0. The weights are an input beside the scores because weight_j / scaling is
// s_j / Σ s without dividing by a sum that may underflow.
//   dweight, weight [T, k], expert i32 [T, k], score [T, E] → dlogits [T, E]
struct RouteBackward {
  enum In { dweight, weight, expert, score };
  enum Out { dlogits };
};
extern const Operator kRouteBackward;  // desc: Route::Desc

inline constexpr int64_t kRouteTokens = 64;  // Tokens per task.

}  // namespace birkhoff
