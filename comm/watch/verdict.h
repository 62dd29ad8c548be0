#pragma once
// The job's exit code for the launcher, launch/mpirun.sh: mpirun's own is that of whichever rank it
// saw end first, 137 for one that was killed because it hung.
#include "base/error.h"

namespace birkhoff {

// Writes the code to the file that the environment's BIRKHOFF_VERDICT names, if this machine has
// it: the launcher makes it. Ranks that write write the same. Never throws.
void leave_verdict(ExitCode code) noexcept;

}  // namespace birkhoff
