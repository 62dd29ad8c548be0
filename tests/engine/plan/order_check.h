#pragma once
// Checks what a stream plan promises from the definitions alone: a sequence of runs of parts is
// unrolled, and two turns that touch a byte, one of them writing, must have a path between them in
// the graph of device-stream order, records and waits. Knows nothing of how waits are derived.
#include <string>
#include <tuple>
#include <vector>

#include "engine/plan/streams.h"

namespace birkhoff::testing {

// Bytes that a turn touches; one slot may appear several times.
struct Touched {
  int arena;  // kArenas: the communicator
  size_t begin, end;
  bool written;
  std::tuple<const Program*, int, SlotId> slot;  // the slot that owns them
};
std::vector<Touched> touched(const Plan& plan, const Turn& turn);

using History = std::vector<size_t>;  // parts, in the order of their runs

// All histories of 1 … `longest` runs of `parts` parts.
std::vector<History> histories(size_t parts, size_t longest);

class OrderCheck {
 public:
  OrderCheck(const Plan& plan, const StreamPlan& streams, const History& history);

  // The first two turns that must be ordered and are not, as text; "" if there are none.
  // `streams` may differ from the constructor's in waits and events.
  std::string fault(const StreamPlan& streams) const;
  size_t pairs() const { return pairs_.size(); }  // that must be ordered

 private:
  struct Instance {
    size_t part, turn;
  };
  const Turn& turn(const StreamPlan& streams, size_t i) const {
    return streams.parts[instances_[i].part][instances_[i].turn];
  }
  std::vector<Instance> instances_;
  std::vector<std::pair<size_t, size_t>> pairs_;
};

// The first fault over all histories, with its history.
std::string fault(const Plan& plan, const StreamPlan& streams,
                  const std::vector<History>& histories);

// Two calls of a part that have activations in the same memory and are not ordered by what they
// read and write, as text; "" if there are none. Then reuse needs no wait within a run.
std::string reuse_fault(const Plan& plan, const StreamPlan& streams, size_t part);

// Every wait whose removal leaves everything ordered; each wait must be missed in some history of
// two runs.
std::vector<std::string> needless_waits(const Plan& plan, const StreamPlan& streams);

}  // namespace birkhoff::testing
