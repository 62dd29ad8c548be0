#pragma once
// What ended a job: which rank, where, doing what, and why. Makes the line that people read and the
// exit code of every rank.
#include <string>

#include "base/error.h"
#include "comm/beacon.h"
#include "comm/watch/judge.h"
#include "comm/watch/process.h"

namespace birkhoff {

struct CrashMessage {
  int64_t step = 0;
  int32_t activity = 0;
  int32_t signal = 0;
};

struct Failure {
  int rank = 0;
  ProcessId process;
  int64_t step = 0;
  Activity activity = Activity::init;
  std::string cause;
  ExitCode code = ExitCode::peer;

  // rank 1 host node7 pid 4242 step 12 activity backward: killed by signal 11 (SIGSEGV)
  std::string line() const;
};

// The failure that `judge` found; `process` is that of the rank it names, if known.
Failure failure_of(const Judgement& judgement, const Judge& judge, const ProcessId& process,
                   double timeout);

// An exception of this rank: an Error keeps its code, bad_alloc becomes resource, any other
// internal.
Failure failure_of(const std::exception& error, int rank, const ProcessId& process,
                   const Beacon& beacon);

// A fatal signal of a rank, as reported by its last frame.
Failure failure_of(const CrashMessage& crash, int rank, const ProcessId& process);

}  // namespace birkhoff
