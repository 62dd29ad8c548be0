#pragma once
// All that a training session runs, traced: the step's program, the held-out loss's, and the
// schedule over both. Tracing alone: no memory, no values.
#include "engine/config/config.h"
#include "engine/model/model.h"
#include "engine/optim/optimizer.h"
#include "engine/schedule/schedule.h"

namespace birkhoff {

struct SessionPrograms {
  enum Part : size_t { kMicroBatch, kUpdate, kScore };  // of the schedule

  explicit SessionPrograms(const Config& config, const Heartbeat& alive = {});

  Program train, score;  // of the config's precision
  ModelIo io, score_io;
  OptimizerIo optimizer;
  Value seed;  // of the loss's gradient: the host sets it to 1
  Schedule schedule;
};

// Names of the accumulators that a micro-batch writes: loss, gradients, expert load. What the ranks
// of a data-parallel group sum.
std::vector<std::string> summed_accumulators(const Program& train);

}  // namespace birkhoff
