#pragma once
// Runs the parts of a schedule in the arenas that its plan laid out. Every call's pointers are
// bound once, before the first run. One executor per rank; not thread-safe (the thread team inside
// is its parallelism).
//
// With poison, the executor fills bytes with NaN as their slots die, so that a wrong lifetime shows
// as NaN, and can report how far the activation arena was really written.
#include <array>
#include <memory>

#include "base/buffer.h"
#include "base/thread_team.h"
#include "comm/beacon.h"
#include "engine/execute/call_observer.h"
#include "engine/plan/plan.h"

namespace birkhoff {

// Debug builds poison: a wrong lifetime then shows in whatever runs.
#ifdef NDEBUG
inline constexpr bool kPoisonByDefault = false;
#else
inline constexpr bool kPoisonByDefault = true;
#endif

struct ExecutorOptions {
  Device device = Device::cpu;
  Features features = host_features();
  bool poison = kPoisonByDefault;
  std::byte canary{0};       // with poison: what the activation arena is filled with at first
  Beacon* beacon = nullptr;  // ticks with every call; notified when a backward list begins
};

class Executor {
 public:
  using Options = ExecutorOptions;
  // REQUIRES schedule, its programs and team outlive the executor. Throws ResourceError when the
  // system refuses the memory.
  Executor(const Schedule& schedule, ThreadTeam& team, Options options = {});
  ~Executor();

  const Plan& plan() const { return plan_; }

  void begin_step(int64_t step = 0);  // accumulators start over; the number is for the beacon
  void run(size_t part);              // index into the schedule

  // The bytes of a slot: inputs, constants, outputs, parameters, …; an activation's are valid only
  // until it dies. Throws InternalError where T is not the slot's element type.
  template <class T>
  std::span<T> data(Value v, int lane = 0) const {
    const TensorSpec& spec = v.spec();
    check(DTypeOf<T>::value == spec.dtype, "data(): the element type does not match {}",
          to_string(spec));
    return {reinterpret_cast<T*>(address(plan_.place(*v.program, lane, v.id))),
            size_t(spec.count())};
  }
  std::byte* address(const Place& place) const {
    return arenas_[size_t(place.arena)].data() + place.offset;
  }

  // Bytes of the activation arena from its start to the last one that is not the canary.
  size_t high_water() const;

  // All calls; those inside a rounds node take the node's position.
  std::span<const CallSite> sites() const { return sites_; }
  // Reports all calls to `observer` until unobserve(); the observer must live until then.
  void observe(CallObserver& observer) { observers_.push_back(&observer); }
  void unobserve(CallObserver& observer) { std::erase(observers_, &observer); }

 private:
  struct Issue;
  Issue bind(const CallSite& site, int lane);
  int accumulator_index(const Program& p, int lane, SlotId id);
  void execute(Issue& issue, size_t part, size_t& time);
  void call(const Issue& issue);
  void rounds(Issue& issue, size_t part, size_t& time);
  void bury(size_t part, size_t time);

  Plan plan_;
  Options options_;
  std::array<Buffer, kArenas> arenas_;
  Buffer workspace_;
  Context context_;
  std::vector<std::vector<Issue>> parts_;
  std::map<std::byte*, int> accumulator_indices_;
  std::vector<char> started_;  // accumulators written since they started over
  int64_t step_ = 0;
  std::vector<CallSite> sites_;
  std::vector<CallObserver*> observers_;
};

}  // namespace birkhoff
