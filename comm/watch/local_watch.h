#pragma once
// The watchdog of ranks that are threads of one process: applies comm/watch/judge.h to their
// beacons, without sockets. A thread cannot die alone, so it finds hangs only.
#include <functional>
#include <mutex>
#include <thread>

#include "comm/watch/failure.h"

namespace birkhoff {

struct LocalWatchOptions {
  std::vector<const Beacon*> beacons;  // by rank; must outlive the watch
  double timeout = 60;                 // seconds, > 0
  // Called once, on the watch's thread, with the failure and a line per rank; a stuck thread cannot
  // be ended. If empty, prints them and ends the process with code 7.
  std::function<void(const Failure&, const std::vector<std::string>&)> on_hang = {};
};

class LocalWatch {
 public:
  explicit LocalWatch(LocalWatchOptions options);
  ~LocalWatch();
  LocalWatch(const LocalWatch&) = delete;
  LocalWatch& operator=(const LocalWatch&) = delete;

  void finished(int rank);  // called by any thread; the rank's beacon stands still from now on

 private:
  bool look();  // true: all is well

  const LocalWatchOptions options_;
  const ProcessId self_;
  std::mutex mutex_;
  Judge judge_;
  double now_ = 0;
  std::jthread thread_;  // declared last, so that it stops first
};

}  // namespace birkhoff
