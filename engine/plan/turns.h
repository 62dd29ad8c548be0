#pragma once
// Internal to the planner: turns with the bytes they touch, and which turns are ordered after
// which.
#include "engine/plan/streams.h"

namespace birkhoff {

struct Access {
  int space;  // an arena, or kCommunicator
  size_t begin, end;
  bool writes;
};
inline constexpr int kCommunicator = kArenas;

struct TouchingTurn {
  Turn turn;
  std::vector<Access> accesses = {};
  int behind = kNone;  // rounds node: the turn that copies its count, which the host waits for
};
using TouchingTurns = std::vector<std::vector<TouchingTurn>>;  // by part; without waits and events

TouchingTurns turns_of(const Schedule& schedule, const Plan& plan, const StreamOf& stream_of);

using Counts = std::array<int, kStreams>;  // turns of each device stream

// The calls of a part by index in the walk, and which turns each knows to be over (itself
// included).
struct CallOrder {
  std::vector<Stream> stream;
  std::vector<int> number;  // on its device stream, from 1
  std::vector<Counts> knows;
  std::vector<int> began;  // when each call begins, in the planner's time; last, when the part ends
  bool behind(int later, int earlier) const {
    return knows[size_t(later)][size_t(stream[size_t(earlier)])] >= number[size_t(earlier)];
  }
};

// Orders within a run, from the places of `plan`.
std::vector<CallOrder> call_orders(const Schedule& schedule, const Plan& plan, const StreamOf&);

}  // namespace birkhoff
