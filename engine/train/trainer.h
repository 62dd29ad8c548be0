#pragma once
// A training run from its config to its last checkpoint: data, session, metrics, evaluation,
// progress, resuming. What `birkhoff train` does on each rank.
//
// Collective: every rank of the run calls it. Errors, by exit code: 2 config, 3 data, 4 checkpoint,
// 5 storage or memory, 8 not finite. One that depends on what a single rank saw (a file that it
// cannot read) is agreed on and thrown by all; what comes unforeseen leaves one rank, whose owner
// tells the others.
#include <functional>

#include "comm/beacon.h"
#include "comm/communicator.h"
#include "engine/config/config.h"

namespace birkhoff {

struct RankEnvironment {
  Communicator& ranks;
  Beacon& beacon;
  int ranks_here = 1;  // on this host: they share its cores and its memory
  // Asked before each step and each batch of an evaluation: somebody wants the run to end soon. One
  // rank that says so ends all.
  std::function<bool()> stop_requested = [] { return false; };
  std::function<void(double seconds)> step_done = [](double) {};  // for the watchdog
  bool own_process = true;                                        // may have a log file of its own
};

struct TrainOptions {
  bool profile = false;     // at the end, log the seconds of each operator
  int64_t trace_steps = 0;  // of this process, to be written as a timeline (engine/train/trace.h)
};

enum class TrainOutcome { finished, preempted };

// `preempted`: a stop was requested, and a checkpoint of the last finished step is there. An
// evaluation that was broken off is made by the run that resumes.
TrainOutcome train(const Config& config, const RankEnvironment& environment,
                   const TrainOptions& options = {});

// Threads of a rank: run.threads, or its share of the cores that the process may use where
// `ranks_here` processes of the run are on this host.
int thread_count(const Config& config, int ranks_here);

}  // namespace birkhoff
