#pragma once
// RMSNorm over the last dim (Zhang & Sennrich, arXiv 1910.07467).
//
//   y = gain ⊙ x·rstd,   rstd = rsqrt(mean(x²) + eps)
//   x [T, C], gain [C] → y [T, C], rstd [T]
//
// x and y are of storage type, the rest is wide (kernels/storage.h). rstd is the saved value: an
// additional output that stays alive until the backward list has read it.
#include "kernels/operator.h"

namespace birkhoff {

struct RmsNorm {
  enum In { x, gain };
  enum Out { y, rstd };
  struct Desc {
    double eps = 1e-20;
    static void visit(auto& d, auto&& field) { field("eps", d.eps); }
  };
};
extern const Operator kRmsNorm;

// dx = rstd·(gain⊙dy − x·rstd²·mean(gain⊙dy⊙x)),   dgain = Σ_t dy⊙x·rstd
// This takes one pass over x and dy. dgain is summed over blocks of kRmsNormTokens tokens and then
// over the blocks in order, so its bits do not depend on the threads.
struct RmsNormBackward {
  enum In { dy, x, gain, rstd };
  enum Out { dx, dgain };
};
extern const Operator kRmsNormBackward;
inline constexpr int64_t kRmsNormTokens = 64;

}  // namespace birkhoff
