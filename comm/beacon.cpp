#include "comm/beacon.h"

namespace birkhoff {

std::string_view name_of(Activity activity) {
  constexpr std::string_view kNames[] = {"init",   "load",   "data",     "forward", "backward",
                                         "reduce", "update", "evaluate", "save",    "finish"};
  return kNames[size_t(activity)];
}

void Beacon::enter(int64_t step, Activity activity) {
  step_.store(step, std::memory_order_relaxed);
  activity_.store(activity, std::memory_order_relaxed);
  tick();
}

void Beacon::begin(const CollectiveCall& call) {
  sequence_.store(call.sequence, std::memory_order_relaxed);
  operation_.store(call.operation, std::memory_order_relaxed);
  bytes_.store(call.bytes, std::memory_order_relaxed);
  waiting_.store(true, std::memory_order_relaxed);
  tick();
}

void Beacon::end() {
  waiting_.store(false, std::memory_order_relaxed);
  tick();
}

Beacon::Snapshot Beacon::snapshot() const {
  const auto read = [](const auto& value) { return value.load(std::memory_order_relaxed); };
  return {
      .step = read(step_),
      .activity = read(activity_),
      .last = {.sequence = read(sequence_), .operation = read(operation_), .bytes = read(bytes_)},
      .waiting = read(waiting_),
      .ticks = read(ticks_)};
}

}  // namespace birkhoff
