#pragma once
// Routing of tokens to experts: DeepSeek-V3, arXiv 2412.19437, eq. 12-16, with the loss-free
// balancing bias of arXiv 2408.15664. The bias takes part in the choice and in nothing else.
//
//   score = sigmoid(logits)
//   expert[t, ·] = the `active` largest of score[t, ·] + bias, in descending order; of equal ones
//                  the lower index comes first; NaN counts as −∞, so that ids are valid always
//   weight[t, j] = scaling · s_j / Σ_i s_i,   s_j = score[t, expert[t, j]]   (normalise)
//                  scaling · s_j                                             (otherwise)
//   load[e]      = number of pairs (t, j) with expert[t, j] = e
//   logits [T, E], bias [E] → weight [T, active], expert i32 [T, active], score [T, E],
//                             load i32 [E]
//   logits, weight, score: f32 or f64; bias: f32 or as logits
//
// Σ s can underflow: in f32 every score is 0 below a logit of −104. So normalised weights are
// computed with a common factor e^−m taken out of the scores when m, the largest of the chosen
// logits, is below −50: there 1 + e^l rounds to 1, s = e^l, and weight = softmax of the chosen
// logits, whose sum is ≥ 1. Finite for finite logits. Logits that are NaN give NaN weights.
//
// load adds up over micro-batches by the base rule; expert, score and load are saved outputs.
// bias gets no gradient.
#include "kernels/operator.h"

namespace birkhoff {

struct Route {
  enum In { logits, bias };
  enum Out { weight, expert, score, load };
  struct Desc {
    int64_t active = 1;  // 1 … E
    double scaling = 1;  // > 0
    bool normalise = true;
    static void visit(auto& d, auto&& field) {
      field("active", d.active), field("scaling", d.scaling), field("normalise", d.normalise);
    }
  };
};
extern const Operator kRoute;

// dlogits[t, expert[t, j]] = (1 − s_j) · weight_j · (dweight_j − pull),  0 off the chosen experts;
// pull = Σ_i dweight_i · weight_i / scaling (normalise), 0 otherwise.
// Takes the weights, not only the scores: weight_j / scaling is s_j / Σ s without a division.
//   dweight, weight [T, k], expert i32 [T, k], score [T, E] → dlogits [T, E]
struct RouteBackward {
  enum In { dweight, weight, expert, score };
  enum Out { dlogits };
};
extern const Operator kRouteBackward;  // desc: Route::Desc

inline constexpr int64_t kRouteTokens = 64;  // a task

}  // namespace birkhoff
