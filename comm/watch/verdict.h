#pragma once
// What launch/mpirun.sh has to know of the job and cannot see: mpirun's own exit code is that of
// whichever rank it saw end first, 137 for one that was killed because it hung. Both functions
// append a line to the file that the environment's BIRKHOFF_VERDICT names, if this machine has it:
// the launcher makes it. They never throw.
#include "base/error.h"

namespace birkhoff {

// The job's exit code. Ranks that write write the same.
void leave_verdict(ExitCode code) noexcept;

// The job has completed a step: after a death without a verdict, starting it again makes sense.
void leave_progress() noexcept;

}  // namespace birkhoff
