#pragma once
// What the watchdogs of rank 0 (Hub) and of the other ranks (Spoke) share: the thread, the requests
// of the rank's own thread, and how a failure ends the process. Internal to comm/watch.
#include <poll.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "comm/watch/crash.h"
#include "comm/watch/frame.h"
#include "comm/watch/watchdog.h"

namespace birkhoff {

class Station {
 public:
  explicit Station(WatchdogOptions options);
  virtual ~Station();
  Station(const Station&) = delete;
  Station& operator=(const Station&) = delete;

  // Called by the rank's thread; start() and stop() by the owner of the complete object.
  void start();
  void stop();
  void step_took(double seconds);
  ExitCode report(const std::exception& error);
  void finish();

 protected:
  using Clock = std::chrono::steady_clock;

  // Called by the watchdog's thread.
  virtual void listen_to(std::vector<pollfd>& set) const = 0;  // adds what to wake up for
  virtual void serve() = 0;             // reads frames, judges; may conclude() or complete()
  virtual void beat() = 0;              // four times a second
  virtual void tell(const Failure&) {}  // sends the verdict to the others
  virtual void drop_connections() {}    // of a rank that leaves without a goodbye
  virtual bool others_left() { return true; }

  // Makes `failure` the verdict, unless there is one. `details` are further lines.
  void conclude(const Failure& failure, bool print, const std::vector<std::string>& details = {});
  void complete();  // lets finish() return

  bool concluded() const { return bool(failure_); }  // on the watchdog's thread
  std::optional<Failure> take_report();              // at most once
  bool finish_asked();
  double timeout() const;
  double now() const { return now_; }
  // Whether no lower rank of this machine is running. Ranks below `from` do not count.
  bool lowest_here(int from) const;

  const WatchdogOptions options_;
  const ProcessId self_;
  std::vector<ProcessId> peers_;  // by rank; pid 0: unknown
  CrashReport crash_;
  bool lost_rank_0_ = false;  // so the remaining ranks must report it themselves

 private:
  void run();
  void wait_for_news();
  void end();
  void write_log(const Failure& failure, const std::vector<std::string>& details);
  void kill_stopped() const;
  bool any_here() const;

  int wake_ = -1;  // an eventfd
  std::thread thread_, log_thread_;
  std::atomic<bool> logged_{false};
  double now_ = 0, next_beat_ = 0;  // of a clock that stands still while this process does
  Clock::time_point last_round_;
  std::atomic<double> slowest_step_{0};

  std::mutex mutex_;
  std::condition_variable news_;
  std::optional<Failure> reported_;
  std::optional<Failure> failure_;  // written by the watchdog's thread, once
  bool finish_asked_ = false, finished_ = false, leaving_ = false;
};

}  // namespace birkhoff
