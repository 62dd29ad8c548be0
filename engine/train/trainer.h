#pragma once
// A training run from its config to its last checkpoint: data, session, metrics, evaluation,
// progress. What `birkhoff train` does.
//
// Errors, by exit code: 2 config, 3 data, 5 storage or memory, 8 not finite. Nothing that an
// earlier run saved is touched: a run directory that already holds a run is refused.
#include "engine/config/config.h"

namespace birkhoff {

struct TrainOptions {
  bool profile = false;  // at the end, log the seconds of each operator
};

void train(const Config& config, const TrainOptions& options = {});

// Threads of this process: run.threads, or every core it may use.
int thread_count(const Config& config);

}  // namespace birkhoff
