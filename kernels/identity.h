#pragma once
// y = x, for any shape and dtype. A bf16 sum is computed in f32 and rounded once
// (kernels/storage.h). Since a body adds to its base, out = base + x, so this operator serves both
// as the residual add and to copy a gradient; there is no operator called "add".
#include "kernels/operator.h"

namespace birkhoff {

struct Identity {
  enum In { x };
  enum Out { y };
};
extern const Operator kIdentity;
inline constexpr int64_t kIdentityElements = 1 << 15;  // Elements per task.

}  // namespace birkhoff
