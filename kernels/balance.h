#pragma once
// Loss-free balancing (Wang et al., arXiv 2408.15664, algorithm 1): after each step the bias of an
// expert that got less than the mean load rises by `speed`, of one that got more it falls.
//
//   bias[e] += speed · sign(Σ load / E − load[e])        in place (updates = true)
//   load i32 [E] (route's, summed over the step) → bias f32 [E]
//
// The sign is that of the integer Σ load − E·load[e]: an expert at the mean exactly keeps its bias.
#include "kernels/operator.h"

namespace birkhoff {

struct BalanceUpdate {
  enum In { load };
  enum Out { bias };
  struct Desc {
    double speed = 1e-3;
    static void visit(auto& d, auto&& field) { field("speed", d.speed); }
  };
};
extern const Operator kBalanceUpdate;

}  // namespace birkhoff
