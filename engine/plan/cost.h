#pragma once
// What a call costs, from its shapes alone: floating-point operations, and bytes that cross the
// border of a cache that holds nothing, each byte of an operand counted once. Pure; thread-safe.
#include "engine/autograd/program.h"

namespace birkhoff {

struct Cost {
  double flops = 0, bytes = 0;
};
Cost cost(const Operator& op, Specs in, const Desc& desc);
Cost cost(const Program& program, const Call& call);  // of a rounds node: of one round

}  // namespace birkhoff
