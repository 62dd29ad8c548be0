#pragma once
// Shared by the cpu bodies of SwiGLU.
#include "kernels/operator.h"

namespace birkhoff::cpu {

// How many rows of input x hold tokens: all of them, or those before offsets[E]. Throws
// InternalError if offsets[E] is not in [0, rows of x].
int64_t swiglu_rows(const Args& args, int x, int offsets);

}  // namespace birkhoff::cpu
