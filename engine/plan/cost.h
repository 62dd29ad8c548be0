#pragma once
// The cost of a call, from its shapes alone: floating-point operations, and bytes that cross the
// boundary of an initially empty cache, each byte of an operand counted once. Pure; thread-safe.
#include "engine/autograd/program.h"

namespace birkhoff {

struct Cost {
  double flops = 0, bytes = 0;
};
Cost cost(const Operator& op, Specs in, const Desc& desc);
Cost cost(const Program& program, const Call& call);  // a rounds node: cost of one round

}  // namespace birkhoff
