#pragma once
// The emulated device: runs a kernel block by block, a fiber a thread, in the order of a schedule.
// One host thread at a time.
//
// What a kernel does wrong ends the launch and stands in fault(); so does what a checker finds.
// From then on the runtime's calls return cudaErrorLaunchFailure, until reset().
#include <functional>
#include <string>

#include "tests/cuda/emulator/schedule.h"

namespace birkhoff::emulator {

// Forgets all that was allocated and queued, and the fault; what runs next follows `schedule`.
void reset(const Schedule& schedule);

// The first line says what is wrong, in which kernel, block, thread and line. Empty: nothing is.
const std::string& fault();
// Records a fault of the host or the checker; the first one stays.
void set_fault(const std::string& text);

}  // namespace birkhoff::emulator
