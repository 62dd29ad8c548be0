#pragma once
// What a run of a config needs on one rank, before it is launched: every arena to the byte, and a
// reserve for what is not planned. Traces and plans, but allocates none of it. Takes seconds at
// 27B.
#include <string>
#include <vector>

#include "engine/config/config.h"
#include "engine/model/model.h"
#include "engine/plan/plan.h"

namespace birkhoff {

struct MemoryItem {
  std::string name, note;
  size_t bytes = 0;
};

struct MemoryReport {
  ParameterCount parameters;
  std::vector<MemoryItem> arenas;   // planned: exact
  std::vector<MemoryItem> reserve;  // not planned: upper bounds
  size_t planned = 0, total = 0;
  size_t activation_floor = 0;    // most bytes alive at one time
  double flops = 0, traffic = 0;  // of one micro-batch, forward and backward: flops, unique bytes
};

// For `ranks` data-parallel ranks with `threads` threads each; `data_bytes` is what the index of
// documents takes (0: not known). Throws ConfigError if that many ranks cannot share a step. Calls
// `alive` as it progresses.
MemoryReport plan_run(const Config& config, int threads, int ranks, size_t data_bytes = 0,
                      const Heartbeat& alive = {});

std::string to_table(const MemoryReport& report);
std::string to_json(const MemoryReport& report);

// Throws ResourceError if the plan exceeds the available memory, with the table and what would make
// it fit.
void require_memory(const MemoryReport& report, size_t available);

}  // namespace birkhoff
