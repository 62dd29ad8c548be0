#pragma once
// Prints a program as text before anything runs: for golden files and `birkhoff plan --listing`.
#include <string>

#include "engine/plan/streams.h"

namespace birkhoff {

// One line per call: phase, segment, operator, flops, unique bytes, outputs ← inputs, desc.
std::string listing(const Program& program);

// One line per turn (engine/plan/streams.h), in issue order: device stream, events it waits for (an
// event of an earlier run has a '), event recorded after it, and the call's line.
std::string listing(const Schedule& schedule, const StreamPlan& streams);

}  // namespace birkhoff
