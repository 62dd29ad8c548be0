#pragma once
// Which process a rank is, for others to find it, and to be sure that it is still that one.
// Thread-safe.
#include <cstdint>
#include <string>

namespace birkhoff {

struct ProcessId {
  std::string host;     // for people
  std::string machine;  // boot and process namespace: equal where a pid means the same process
  int64_t pid = 0;
  uint64_t start = 0;  // ticks since boot, field 22 of /proc/PID/stat
};

ProcessId this_process();

enum class ProcessState { gone, stopped, running };

// REQUIRES a process of this machine. One whose start differs is another that was given the pid.
ProcessState state_of(const ProcessId& process);

// SIGKILL, unless it is of another machine, is this process or has gone; never a process that got
// its pid later.
void kill_process(const ProcessId& process);

// "killed by signal 9 (SIGKILL)" or "exited with code 0 without a goodbye", if it is of this
// machine and the kernel still knows; else what can be said of any. Waits up to 0.2 s for one that
// has no status yet.
std::string how_it_ended(const ProcessId& process);

const char* name_of_signal(int signal);  // async-signal-safe; "SIGSEGV", "signal" if rare

}  // namespace birkhoff
