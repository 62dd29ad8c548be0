#pragma once
// What the bodies of SwiGLU share.
#include "kernels/operator.h"

namespace birkhoff::cpu {

// How many rows of input x hold tokens: all of them, or those before offsets[E]. Throws
// InternalError where that is no number of rows.
int64_t swiglu_rows(const Args& args, int x, int offsets);

}  // namespace birkhoff::cpu
