#pragma once
// Signals that ask a run to end. After INT, HUP, TERM or USR1 the run finishes its step, saves and
// ends with exit code 75; a second one ends the process at once, with 128 + its number. A signal
// that was ignored when the process started (nohup, trap '' HUP) stays ignored. PIPE is ignored: a
// reader that has left does not end a run.
//
// Launchers forward what a terminal or a batch system sends as well, so the same request may arrive
// twice within moments: a second signal counts from kStopDebounce on.
#include <chrono>

#include "comm/beacon.h"

namespace birkhoff {

inline constexpr std::chrono::milliseconds kStopDebounce{200};

// Called once, by the main thread before it starts others.
void catch_stop_signals();
// Thread-safe.
bool stop_requested();

// While it exists, the first request is announced on stderr as it arrives, by one line that says
// what the run will do. A request that came before is announced by the constructor. The beacon must
// outlive the object; one object at a time.
class StopAnnouncement {
 public:
  explicit StopAnnouncement(const Beacon& beacon);
  ~StopAnnouncement();
  StopAnnouncement(const StopAnnouncement&) = delete;
  StopAnnouncement& operator=(const StopAnnouncement&) = delete;
};

}  // namespace birkhoff
