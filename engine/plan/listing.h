#pragma once
// A program in words, before anything runs: for goldens and `birkhoff plan --listing`.
#include <string>

#include "engine/plan/streams.h"

namespace birkhoff {

// One line a call: phase, segment, operator, flops, unique bytes, outputs ← inputs, desc.
std::string listing(const Program& program);

// One line a turn, in the order of issue: stream, events it waits for (': of an earlier run), event
// recorded behind it, and the call's line.
std::string listing(const Schedule& schedule, const StreamPlan& streams);

}  // namespace birkhoff
