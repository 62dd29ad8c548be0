#pragma once
// RMSNorm over the last dim (Zhang & Sennrich, arXiv 1910.07467).
//
//   y = gain ⊙ x·rstd,   rstd = rsqrt(mean(x²) + eps)
//   x [T, C], gain [C] → y [T, C], rstd [T]     x and y of storage type (kernels/storage.h), the
//   rest wide
//
// rstd is the saved value: a further output, alive as long as the backward list wants it.
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
// One pass over x and dy. dgain is summed over blocks of kRmsNormTokens tokens, then over the
// blocks in order: bits do not depend on threads.
struct RmsNormBackward {
  enum In { dy, x, gain, rstd };
  enum Out { dx, dgain };
};
extern const Operator kRmsNormBackward;
inline constexpr int64_t kRmsNormTokens = 64;

}  // namespace birkhoff
