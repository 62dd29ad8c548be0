#pragma once
// The memory plan: a fixed offset in an arena for every slot, before anything runs, so that a step
// allocates nothing.
//
//   parameters, accumulators, state   by name: shared by all programs of the schedule
//   io                                inputs, constants and outputs, each in memory of its own
//   activations                       memory is reused as lifetimes end (best fit by size)
//   workspace                         the largest need of one call
//
// plan_memory throws InternalError when a call reads what nothing has written (a wrong schedule).
#include <array>
#include <string>
#include <tuple>

#include "base/heartbeat.h"
#include "engine/schedule/schedule.h"

namespace birkhoff {

enum class Arena { parameters, accumulators, state, io, activations };
inline constexpr int kArenas = 5;
std::string_view name_of(Arena arena);

inline constexpr size_t kPlaceAlignment = 64;  // bytes: a cache line, an AVX-512 vector

struct Place {
  Arena arena = Arena::activations;
  size_t offset = 0, bytes = 0;
};

class Plan {
 public:
  // The place of a slot (views resolved). Throws InternalError when it has no memory: see placed().
  Place place(const Program& program, int lane, SlotId id) const;
  // False for an output that nothing reads: its body gets a null pointer.
  bool placed(const Program& program, int lane, SlotId id) const;

  struct Named {
    std::string name;
    TensorSpec spec;
    Place place;
  };
  // Persistent slots of a kind (parameter, accumulator or state), in order of name.
  std::vector<Named> named(Kind kind) const;

  size_t bytes(Arena arena) const { return bytes_[size_t(arena)]; }
  size_t activation_floor = 0;  // most bytes alive at one time: no placement can need less
  Workspace workspace;          // shared, and for each thread
  // Per part and issue: places whose slots are dead once that call and all issued before it have
  // ended.
  std::vector<std::vector<std::vector<Place>>> freed;

 private:
  friend class Planner;
  // Persistent slots: null, kind, kNone, name. Others: program, lane (constants: −1), root slot,
  // "".
  using Key = std::tuple<const Program*, int, SlotId, std::string>;
  static Key key(const Program& program, int lane, SlotId root);

  std::map<Key, Place> places_;
  std::map<std::pair<Kind, std::string>, Named> named_;
  std::array<size_t, kArenas> bytes_ = {};
};

// The workspace is that of the implementations that the target would run. Calls `alive` for each
// call and for each place: a model of thousands of layers takes seconds.
Plan plan_memory(const Schedule& schedule, const Heartbeat& alive = {}, const Target& target = {});

}  // namespace birkhoff
