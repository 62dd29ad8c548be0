#pragma once
// Runs a stream plan as a device with streams could: the host issues turns, each device stream runs
// its turns in order, and which of them goes on next is drawn; a turn begins when what it waits for
// has ended. Uses the reference device, one turn at a time.
#include <memory>

#include "base/buffer.h"
#include "tests/engine/plan/order_check.h"

namespace birkhoff::testing {

enum class Pick {
  issue_order,  // each turn ends before the next is issued
  drawn,        // any of those that can go on
  ranked,       // the device streams and the host have random ranks: the first that can go on
};

// The contents of an input or a constant in a run: a function of both.
using Fill = std::function<void(const Turn& upload, size_t run, std::span<std::byte> bytes)>;

struct StreamRunResult {
  std::vector<std::vector<std::byte>> arenas;  // parameters, accumulators, state at the end
  std::map<std::pair<size_t, size_t>, std::vector<std::byte>> downloads;  // by run and turn
  bool operator==(const StreamRunResult&) const = default;
};

class StreamRun {
 public:
  StreamRun(const Plan& plan, const StreamPlan& streams, Fill fill);
  ~StreamRun();

  std::byte* at(const Place& place);  // to set its contents before the run
  // A run of part 0 after another part begins a step: accumulators start over.
  StreamRunResult run(const History& history, Pick pick, uint64_t seed);

 private:
  class Device;
  const Plan& plan_;
  const StreamPlan& streams_;
  Fill fill_;
  std::array<std::vector<std::byte>, kArenas> arenas_;
};

}  // namespace birkhoff::testing
