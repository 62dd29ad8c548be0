#pragma once
// A training run from its config to its last checkpoint: data, session, metrics, evaluation,
// progress, resuming. What `birkhoff train` does on each rank.
//
// Collective: every rank of the run calls it. Errors, by exit code: 2 config, 3 data, 4 checkpoint,
// 5 storage or memory, 8 not finite. An error that depends on what a single rank saw (a file that
// it cannot read) is agreed on and thrown by all; an unforeseen one is thrown on one rank, whose
// owner notifies the others.
#include <functional>

#include "comm/beacon.h"
#include "comm/communicator.h"
#include "engine/config/config.h"

namespace birkhoff {

struct RankEnvironment {
  Communicator& ranks;
  Beacon& beacon;
  int ranks_here = 1;  // on this host: they share its cores and its memory
  // Called before each step and each batch of an evaluation; true: the run should end soon. One
  // rank is enough to end all.
  std::function<bool()> stop_requested = [] { return false; };
  std::function<void(double seconds)> step_done = [](double) {};  // for the watchdog
  bool own_process = true;                                        // so it may have its own log file
};

struct TrainOptions {
  bool profile = false;     // at the end, log the seconds of each operator
  int64_t trace_steps = 0;  // steps of this process to trace (engine/train/trace.h)
};

enum class TrainOutcome { finished, preempted };

// `preempted`: a stop was requested; a checkpoint of the last finished step, if any, exists. The
// run that resumes makes up for an evaluation that was broken off.
TrainOutcome train(const Config& config, const RankEnvironment& environment,
                   const TrainOptions& options = {});

// Threads of a rank: run.threads, or its share of the cores that the process may use if
// `ranks_here` processes of the run are on this host.
int thread_count(const Config& config, int ranks_here);

}  // namespace birkhoff
