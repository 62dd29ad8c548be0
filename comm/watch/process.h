#pragma once
// Identifies a rank's process, so that others can find it and be sure that it is still the same.
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

// REQUIRES a process of this machine. If its start differs, the pid was reused and it is gone.
ProcessState state_of(const ProcessId& process);

// Sends SIGKILL, unless the process is on another machine, is this process, or is gone. Never kills
// a process that was given the pid later.
void kill_process(const ProcessId& process);

// "killed by signal 9 (SIGKILL)" or "exited with code 0 without a goodbye", if the process is of
// this machine and the kernel still knows; else a text that fits any end. Waits up to 0.2 s for a
// process that has no status yet.
std::string how_it_ended(const ProcessId& process);

const char* name_of_signal(int signal);  // async-signal-safe; "SIGSEGV", "signal" if rare

}  // namespace birkhoff
