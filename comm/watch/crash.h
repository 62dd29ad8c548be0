#pragma once
// Fatal signals (SEGV, BUS, FPE, ABRT, ILL) tell the other ranks before they end the process: a
// frame over the side channel's sockets, with the signal, the step and the activity. Then whoever
// handled the signal before gets it (a sanitizer, or the system's default with its core file).
//
// One at a time in a process. The constructor's thread gets an alternate stack, so that the
// exhaustion of its own is reported too.
#include "comm/beacon.h"

namespace birkhoff {

class CrashReport {
 public:
  // `beacon` outlives the object; at most `connections` descriptors are told.
  CrashReport(const Beacon& beacon, int connections);
  ~CrashReport();  // by the thread that made it
  CrashReport(const CrashReport&) = delete;
  CrashReport& operator=(const CrashReport&) = delete;

  void tell(int slot, int descriptor);  // −1: no more. Before the descriptor is closed
  void settled();                       // the others know: a crash need not wait any longer
};

}  // namespace birkhoff
