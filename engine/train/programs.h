#pragma once
// Everything that a training session runs, traced: the programs of the step and of the held-out
// loss, and the schedule over both. Only traces: no memory, no values.
#include "engine/config/config.h"
#include "engine/model/model.h"
#include "engine/optim/optimizer.h"
#include "engine/schedule/schedule.h"

namespace birkhoff {

struct SessionPrograms {
  enum Part : size_t { kMicroBatch, kUpdate, kScore };  // parts of the schedule

  explicit SessionPrograms(const Config& config, const Heartbeat& alive = {});

  Program train, score;  // in the config's precision
  ModelIo io, score_io;
  OptimizerIo optimizer;
  Value seed;  // the gradient of the loss: the host sets it to 1
  Schedule schedule;
};

// Names of the accumulators that a micro-batch writes (loss, gradients, expert load). The ranks of
// a data-parallel group sum them.
std::vector<std::string> summed_accumulators(const Program& train);

}  // namespace birkhoff
