#pragma once
// Reports a fatal signal (SEGV, BUS, FPE, ABRT, ILL) to the other ranks before it ends the process,
// by a frame over the side channel's sockets with the signal, the step and the activity. Then the
// previous handler gets the signal (a sanitizer's, or the system's default with its core file).
//
// A process has one at a time. The constructor's thread gets an alternate signal stack, so that a
// stack overflow of its own is reported too.
#include "comm/beacon.h"

namespace birkhoff {

class CrashReport {
 public:
  // `beacon` must outlive the object. At most `connections` descriptors are told.
  CrashReport(const Beacon& beacon, int connections);
  ~CrashReport();  // by the thread that made it
  CrashReport(const CrashReport&) = delete;
  CrashReport& operator=(const CrashReport&) = delete;

  void tell(int slot, int descriptor);  // −1: none; set before the descriptor closes
  void settled();                       // the others know: a crash need not wait longer
};

}  // namespace birkhoff
