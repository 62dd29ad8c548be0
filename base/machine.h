#pragma once
// The processor that this process runs on, as the system reports it. Thread-safe.
#include <cstddef>
#include <string>

namespace birkhoff {

struct Machine {
  std::string cpu;  // its name, or "unknown"
  int cores = 1;    // usable_cores()
  // Bytes of data cache: L1 and L2 of one core, and the sum of the L3 caches in use.
  size_t l1 = 0, l2 = 0, l3 = 0;
};

Machine this_machine();  // a field that the system does not report is 0

// Number of cores that the process may use: those in its affinity mask, or its CPU quota (cgroup
// version 1 or 2) if that is less; 1.5 CPUs count as 2 cores. At least 1. `root` is put before
// /proc and /sys, for tests.
int usable_cores(const std::string& root = "");

// Bytes of memory that the process may use: the least of what the machine has and of the limits of
// the process's cgroup (version 1 or 2) and all groups above it. Containers and batch systems set
// such limits; a process that exceeds one is killed without a message. `root` is put before /proc
// and /sys.
size_t memory_limit(const std::string& root = "");

}  // namespace birkhoff
