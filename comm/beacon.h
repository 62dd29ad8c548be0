#pragma once
// What one rank is doing, for others to see: written by the rank's own thread, read by its watchdog
// at any time. Lock-free; a write costs a few stores.
//
//   beacon.enter(step, Activity::backward);
//   beacon.tick();                                   // still alive: once an operator, once a chunk
//   beacon.begin({.sequence = 17, .operation = "all_reduce", .bytes = 4096});  …  beacon.end();
//
// A watchdog takes what does not tick for stuck, so long work ticks as it gets on; and it takes
// ranks that all wait without a tick for deadlocked, so a wait for others does not tick while
// nothing comes.
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
  int64_t sequence = 0;            // of the rank's calls in its group, from 1; 0: none yet
  const char* operation = "none";  // a string literal
  int64_t bytes = 0;
};

// Told of the same as it happens, by the rank's thread: for a timeline.
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
  // By the rank's thread.
  void enter(int64_t step, Activity activity);
  void begin(const CollectiveCall& call);
  void end();
  // Failures to rehearse, before the run; the drill outlives the beacon's use.
  void rehearse(Drill& drill, int rank) { drill_ = &drill, rank_ = rank; }
  void tell(BeaconListener* listener) { listener_ = listener; }  // who outlives that; null: nobody

  // By any thread of the rank's.
  void tick() { ticks_.fetch_add(1, std::memory_order_relaxed); }

  struct Snapshot {
    int64_t step = 0;
    Activity activity = Activity::init;
    CollectiveCall last;   // collective
    bool waiting = false;  // in it
    uint64_t ticks = 0;    // grows with all of the above
  };
  // What stood together at one moment. Async-signal-safe, in a handler that interrupted a write
  // too.
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

  std::atomic<uint64_t> version_{0};  // of the fields: [version % 2] stand, the others are written
  Fields fields_[2];
  std::atomic<uint64_t> ticks_{0};
  Drill* drill_ = nullptr;
  int rank_ = 0;
  BeaconListener* listener_ = nullptr;
};

// Ticks the beacon; empty without one.
inline Heartbeat heartbeat_of(Beacon* beacon) {
  return beacon ? Heartbeat([beacon] { beacon->tick(); }) : Heartbeat();
}

}  // namespace birkhoff
