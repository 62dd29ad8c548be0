#pragma once
// A failure anywhere ends the job everywhere. Each rank has a watchdog: a thread that reports to
// rank 0's watchdog, over TCP and four times a second, what its rank is doing. Rank 0's watchdog
// judges (comm/watch/judge.h); if rank 0 is lost, each other rank judges that for itself. MPI is
// not involved, since it may be what is stuck.
//
// Words of comm/watch:
//
//   beacon      what a rank's thread publishes of its state (comm/beacon.h); a sign is a copy of it
//   beat        a frame with the rank's sign, sent four times a second: the heartbeat
//   frame       a message over the side channel, the TCP connections between the watchdogs
//   hub, spoke  the watchdog of rank 0, and the watchdog of any other rank; a station is either
//   rendezvous  the addresses and tokens with which a spoke connects to the hub
//   stranger    a connection to the hub that has not yet presented the token (hello)
//   judgement   which rank failed, and how, as concluded from signs and closed connections
//   failure     the rank, place, cause and exit code of a failure, from whatever source
//   symptom     a failure of another rank that this one noticed; its true cause may still arrive
//   verdict     the failure that ends the job: the first that the hub (without it, a spoke) accepts
//   goodbye     the frame of a rank that has finished; ending without it counts as a death
//
//   Watchdog watchdog({.rank = r, .size = n, .beacon = &beacon, .abort = …, .broadcast = …});
//   try { …; watchdog.finish(); return 0; } catch (const std::exception& e) {
//     return int(watchdog.report(e));
//   }
//
// A rank fails by an exception (report), a fatal signal, the end of its process without finish(),
// or a hang. Then, on every rank, the cause goes to the log; one rank prints it, as one line on
// stderr
//
//   birkhoff: rank 1 host node7 pid 4242 step 12 activity backward: killed by signal 11 (SIGSEGV)
//
// (and for a hang a line per rank with its last collective); `abort` is called, so that waits
// throw; and the rank's thread has a second to reach ~Watchdog, after which the process ends with
// _exit. All ranks exit with the cause's code: that of an Error, 6 for a death, 7 for a hang. A
// process that does not react is killed by another rank of its machine, within 3 s of the verdict.
//
// Only the rank's thread constructs, reports, finishes and destroys. A process has one watchdog.
#include <functional>
#include <memory>

#include "comm/watch/failure.h"

namespace birkhoff {

struct WatchdogOptions {
  int rank = 0, size = 1;
  const Beacon* beacon = nullptr;  // must outlive the watchdog
  double timeout = 0;  // seconds; 0: the larger of 60 and five times the slowest step so far
  // Called once, on the watchdog's thread, when the failure is known; makes the rank's waits throw.
  std::function<void()> abort = [] {};
  // Returns on every rank the text that rank 0 calls it with. Each rank calls it once, in the
  // constructor; not called if size is 1.
  std::function<std::string(const std::string&)> broadcast = {};
  // Writes a line to the rank's log file, not to stderr; called on a thread of its own.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

class Station;

class Watchdog {
 public:
  // Throws PeerError if rank 0 cannot be reached, ResourceError if the system provides no socket.
  explicit Watchdog(WatchdogOptions options);
  // Without a finish() or report() before, the other ranks see a death.
  ~Watchdog();

  // Reports a step's time, for the default timeout. Called by the rank's thread.
  void step_took(double seconds);

  // Reports that this rank has failed. Returns the code to exit with, once all ranks know why; the
  // cause may be an earlier failure of another rank. Never throws. The caller need not print
  // anything.
  ExitCode report(const std::exception& error);

  // Reports that this rank is done. Returns when all are; if the job fails before, throws
  // PeerError.
  void finish();

 private:
  std::unique_ptr<Station> station_;
};

}  // namespace birkhoff
