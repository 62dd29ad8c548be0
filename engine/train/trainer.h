#pragma once
// A training run from its config to its last checkpoint: data, session, metrics, evaluation,
// progress. What `birkhoff train` does.
//
// Errors, by exit code: 2 config, 3 data, 5 storage or memory, 8 not finite. Nothing that an
// earlier run saved is touched: a run directory that already holds a run is refused.
#include "engine/config/config.h"

namespace birkhoff {

void train(const Config& config);

// Threads of this process: run.threads, or every core it may use.
int thread_count(const Config& config);

}  // namespace birkhoff
