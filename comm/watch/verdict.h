#pragma once
// Tells launch/mpirun.sh what it cannot see: mpirun's own exit code is that of whichever rank it
// saw end first, e.g. 137 for a rank that was killed because it hung. Both functions append a line
// to the file named by the environment variable BIRKHOFF_VERDICT, which the launcher makes, if this
// machine has it. They never throw.
#include "base/error.h"

namespace birkhoff {

// Appends the job's exit code. All ranks that write one write the same.
void leave_verdict(ExitCode code) noexcept;

// Appends that the job has completed a step, so that it makes sense to start it again after a death
// without a verdict.
void leave_progress() noexcept;

}  // namespace birkhoff
