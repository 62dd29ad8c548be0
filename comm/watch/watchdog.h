#pragma once
// A failure anywhere ends everywhere. Each rank has a watchdog: a thread that tells rank 0's, over
// TCP, four times a second what its rank is doing. Rank 0's judges (comm/watch/judge.h); without
// rank 0 each judges that rank 0 is lost. MPI has no part in it, and may be stuck.
//
//   Watchdog watchdog({.rank = r, .size = n, .beacon = &beacon, .abort = …, .broadcast = …});
//   try { …; watchdog.finish(); return 0; } catch (const std::exception& e) {
//     return int(watchdog.report(e));
//   }
//
// A rank fails by an exception (report), a fatal signal, its process's end without finish(), or by
// a hang. Then, on every rank: the cause goes to its log; one rank prints it, one line on stderr
//
//   birkhoff: rank 1 host node7 pid 4242 step 12 activity backward: killed by signal 11 (SIGSEGV)
//
// (and for a hang a line per rank with its last collective); `abort` is called, so that waits
// throw; the rank's thread has a second to come to ~Watchdog; whoever has not by then ends with
// _exit. All leave with the cause's code: an Error's own, 6 for a death, 7 for a hang. A process
// that does not react is killed by another of its machine, within 3 s of the verdict.
//
// One thread constructs, reports, finishes and destroys: the rank's. One watchdog in a process.
#include <functional>
#include <memory>

#include "comm/watch/failure.h"

namespace birkhoff {

struct WatchdogOptions {
  int rank = 0, size = 1;
  const Beacon* beacon = nullptr;  // outlives the watchdog
  double timeout = 0;  // seconds; 0: the larger of 60 and five times the slowest step so far
  // Called once, on the watchdog's thread, when the failure is known: makes the rank's waits throw.
  std::function<void()> abort = [] {};
  // Gives every rank the text that rank 0 calls it with; called once by each, in the constructor.
  // Not called if size is 1.
  std::function<std::string(const std::string&)> broadcast = {};
  // A line for the rank's log file, not for stderr; on the watchdog's thread.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

class Station;

class Watchdog {
 public:
  // Throws PeerError if rank 0 cannot be reached, ResourceError if the system has no socket.
  explicit Watchdog(WatchdogOptions options);
  // Without finish() or report(): a death, to the others.
  ~Watchdog();

  // For the default timeout. The rank's thread.
  void step_took(double seconds);

  // This rank has failed. Returns the code to leave with, once all know why; that may be another
  // rank's failure that came first. Never throws. Nothing is left to print.
  ExitCode report(const std::exception& error);

  // This rank is done. Returns when all are: until then the job can fail, PeerError.
  void finish();

 private:
  std::unique_ptr<Station> station_;
};

}  // namespace birkhoff
