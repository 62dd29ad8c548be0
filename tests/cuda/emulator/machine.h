#pragma once
// The emulated device: runs a kernel cluster by cluster, with a fiber for each thread, in the order
// of a schedule. Only one host thread may use it at a time.
//
// An error of a kernel ends the launch and is recorded in fault(), as are the checker's findings.
// From then on the runtime's calls return cudaErrorLaunchFailure, until reset().
#include <functional>
#include <string>

#include "tests/cuda/emulator/schedule.h"

namespace birkhoff::emulator {

// Forgets all allocations, queued operations and the fault; from now on follows `schedule`.
void reset(const Schedule& schedule);

// The first line names the fault, kernel, block, thread and source line. Empty: no fault.
const std::string& fault();
// Records a fault; only the first one is kept.
void set_fault(const std::string& text);

}  // namespace birkhoff::emulator
