#pragma once
// Decides what runs beside what, before anything runs: the device stream of each call, the events
// it waits for and the event recorded after it. Derived from what calls read and write; knows no
// device.
//
// A part of the schedule becomes a list of turns; a turn is an operator call or a copy. They are
// listed in the order in which the host issues them: uploads of the inputs and constants that the
// calls read, the calls, downloads of the outputs. An executor walks the list. For each turn, on
// turn.stream:
//
//   for (w : turn.waits) wait for what w.event was last recorded for    cudaStreamWaitEvent
//   make the call, or the copy
//   if (turn.record != kNone) record it                                 cudaEventRecord
//
// The executor waits and records even where there is nothing to do (a constant that has not
// changed, a call whose outputs nobody reads), since later turns rely on it. A wait is for the last
// record that was issued before it, and for nothing if there is none; so an event number may be
// recorded again as soon as its last wait has been issued.
//
// Promise, for every sequence of parts, each any number of times: of two turns that touch a byte,
// one of them writing it, the later begins after the earlier has ended. The waits are minimal: none
// can be left out. Two turns touch a byte through slots, views and bases, or because their slots
// were given the same memory one after the other. All calls that communicate touch the
// communicator, so all ranks make them in one order. Each device stream has a workspace of its own,
// which its calls use one after the other.
//
// A rounds node is one turn: further rounds stay on its device stream. The host must know the count
// before it issues them, and waits for it, its only wait in a part: a turn `count` before the node
// copies it.
//
// All this covers device memory only. Guarding pinned memory is up to the executor, and the host
// may touch an arena only when all device streams are idle. To capture a part as a graph, waits
// with `earlier` become external event nodes.
#include <array>
#include <functional>

#include "engine/plan/plan.h"

namespace birkhoff {

// urgent: calls that communication waits for.
enum class Stream { compute, communication, urgent, staging };
inline constexpr int kStreams = 4;
std::string_view name_of(Stream stream);

struct Wait {
  int event;
  bool earlier;  // waits for a record of an earlier run, of this part or another
  bool operator==(const Wait&) const = default;
};

struct Turn {
  enum class What { call, upload, count, download };
  What what = What::call;
  const Program* program = nullptr;
  int lane = 0;
  const Call* call = nullptr;  // count: the rounds node
  SlotId slot = kNone;         // what is copied
  Stream stream = Stream::compute;
  std::vector<Wait> waits = {};
  int record = kNone;  // the event recorded after it
};

// Chooses the device stream of a turn. The default, stream_of: copies and the count of rounds on
// staging, calls that communicate on communication, others on compute.
using StreamOf = std::function<Stream(const Turn&)>;
Stream stream_of(const Turn& turn);

struct StreamPlan {
  std::vector<std::vector<Turn>> parts;  // of the schedule
  int events = 0;                        // numbers 0 … events − 1
  std::array<Workspace, kStreams> workspace;
};

// REQUIRES a `plan` made from `schedule` by either plan_memory.
StreamPlan plan_streams(const Schedule& schedule, const Plan& plan, const StreamOf& = stream_of,
                        const Target& target = {});

// A plan whose lifetimes end at events: within the run of a part, memory is taken over only by a
// call that is ordered after all its users anyway, so that reuse adds no wait there. With one
// device stream it is the plan of plan_memory(schedule). With several, that plan is smaller and
// just as correct: plan_streams then makes calls wait for memory.
Plan plan_memory(const Schedule& schedule, const StreamOf& stream_of, const Heartbeat& alive = {},
                 const Target& target = {});

}  // namespace birkhoff
