#pragma once
// What one rank is doing, for others to see: written by the rank's own thread, read by its watchdog
// at any time. Lock-free; a write costs a few relaxed stores.
//
//   beacon.enter(step, Activity::backward);
//   beacon.tick();                                   // still alive: once an operator, once a chunk
//   beacon.begin({.sequence = 17, .operation = "all_reduce", .bytes = 4096});  …  beacon.end();
#include <atomic>
#include <cstdint>
#include <string_view>

namespace birkhoff {

enum class Activity { init, load, data, forward, backward, reduce, update, evaluate, save, finish };
std::string_view name_of(Activity activity);

struct CollectiveCall {
  int64_t sequence = 0;            // of the rank's calls in its group, from 1; 0: none yet
  const char* operation = "none";  // a string literal
  int64_t bytes = 0;
};

class Beacon {
 public:
  void enter(int64_t step, Activity activity);
  void tick() { ticks_.fetch_add(1, std::memory_order_relaxed); }
  void begin(const CollectiveCall& call);
  void end();

  struct Snapshot {
    int64_t step = 0;
    Activity activity = Activity::init;
    CollectiveCall last;   // collective
    bool waiting = false;  // in it
    uint64_t ticks = 0;    // grows with all of the above
  };
  Snapshot snapshot() const;

 private:
  std::atomic<int64_t> step_{0}, sequence_{0}, bytes_{0};
  std::atomic<const char*> operation_{"none"};
  std::atomic<Activity> activity_{Activity::init};
  std::atomic<bool> waiting_{false};
  std::atomic<uint64_t> ticks_{0};
};

}  // namespace birkhoff
