#pragma once
// A program in words, before anything runs: for goldens and `birkhoff plan --listing`.
#include <string>

#include "engine/autograd/program.h"

namespace birkhoff {

// One line a call: phase, segment, operator, flops, unique bytes, outputs ← inputs, desc.
std::string listing(const Program& program);

}  // namespace birkhoff
