#pragma once
// Loss-free balancing (Wang et al., arXiv 2408.15664, algorithm 1): after each step an expert's
// bias rises by `speed` if its load was below the mean and falls by `speed` if it was above.
//
//   bias[e] += speed · sign(Σ load / E − load[e])        in place (updates = true)
//   load i32 [E] (route's, summed over the step), scale f32 [1] → bias f32 [E]
//
// `scale` is the same clip factor that AdamW gets; if it is not finite, nothing changes.
//
// The sign is taken from the integer Σ load − E·load[e], so an expert exactly at the mean keeps its
// bias.
#include "kernels/operator.h"

namespace birkhoff {

struct BalanceUpdate {
  enum In { load, scale };
  enum Out { bias };
  struct Desc {
    double speed = 1e-3;
    static void visit(auto& d, auto&& field) { field("speed", d.speed); }
  };
};
extern const Operator kBalanceUpdate;

}  // namespace birkhoff
