#pragma once
// Publishes what one rank is doing: the rank's own thread writes it, its watchdog reads it at any
// time. Lock-free; a write costs a few stores.
//
//   beacon.enter(step, Activity::backward);
//   beacon.tick();                                   // still alive: once per operator or chunk
//   beacon.begin({.sequence = 17, .operation = "all_reduce", .bytes = 4096});  …  beacon.end();
//
// A watchdog takes a rank that does not tick for stuck, so long work must tick as it progresses. It
// takes ranks that all wait without a tick for deadlocked, so a wait for other ranks must not tick
// while nothing arrives.
#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/heartbeat.h"

namespace birkhoff {

class Drill;

enum class Activity { init, load, data, forward, backward, reduce, update, evaluate, save, finish };
constexpr int kActivities = 10;
std::string_view name_of(Activity activity);

struct CollectiveCall {
  int64_t sequence = 0;            // number of the call in its group, from 1; 0: none yet
  const char* operation = "none";  // a string literal
  int64_t bytes = 0;
};

// An observer of the same events, called by the rank's thread as they happen; for a timeline.
class BeaconListener {
 public:
  virtual void entered(int64_t step, Activity activity) = 0;
  virtual void began(const CollectiveCall& call) = 0;
  virtual void ended() = 0;

 protected:
  ~BeaconListener() = default;
};

class Beacon {
 public:
  // Called by the rank's thread.
  void enter(int64_t step, Activity activity);
  void begin(const CollectiveCall& call);
  void end();
  // Sets a failure to rehearse, before the run. The drill must outlive the use of the beacon.
  void rehearse(Drill& drill, int rank) { drill_ = &drill, rank_ = rank; }
  // The listener must outlive the use of the beacon; null: none.
  void tell(BeaconListener* listener) { listener_ = listener; }

  // Called by any thread of the rank.
  void tick() { ticks_.fetch_add(1, std::memory_order_relaxed); }

  struct Snapshot {
    int64_t step = 0;
    Activity activity = Activity::init;
    CollectiveCall last;   // the latest collective
    bool waiting = false;  // whether the rank waits in it
    uint64_t ticks = 0;    // grows with every change of the above
  };
  // The fields as of one moment. Async-signal-safe, also in a handler that interrupted a write.
  Snapshot snapshot() const;

 private:
  struct Fields {
    std::atomic<int64_t> step{0}, sequence{0}, bytes{0};
    std::atomic<const char*> operation{"none"};
    std::atomic<Activity> activity{Activity::init};
    std::atomic<bool> waiting{false};
  };
  static Snapshot read(const Fields& fields);
  void write(const Snapshot& snapshot);

  // fields_[version_ % 2] are valid; a write goes to the others.
  std::atomic<uint64_t> version_{0};
  Fields fields_[2];
  std::atomic<uint64_t> ticks_{0};
  Drill* drill_ = nullptr;
  int rank_ = 0;
  BeaconListener* listener_ = nullptr;
};

// A heartbeat that ticks the beacon; empty if there is no beacon.
inline Heartbeat heartbeat_of(Beacon* beacon) {
  return beacon ? Heartbeat([beacon] { beacon->tick(); }) : Heartbeat();
}

}  // namespace birkhoff
