#pragma once
// The processor that a process runs on, as the system tells it. Thread-safe.
#include <cstddef>
#include <string>

namespace birkhoff {

struct Machine {
  std::string cpu;                // its name, or "unknown"
  int cores = 1;                  // usable_cores()
  size_t l1 = 0, l2 = 0, l3 = 0;  // bytes of data cache: of one core; of all that are used (L3)
};

Machine this_machine();  // what the system does not tell is 0

// Cores that the process may use: those of its affinity, or its CPU quota (cgroup version 1 or 2)
// where that is less: 1.5 CPUs count as 2 cores. At least 1. `root` stands before /proc and /sys:
// for tests.
int usable_cores(const std::string& root = "");

// Bytes of memory that the process may use: the least of what is built in, and of the limits of its
// cgroup (version 1 or 2) and of all those above it. Containers and batch systems set them; whoever
// goes beyond is killed without a word. `root` as above.
size_t memory_limit(const std::string& root = "");

}  // namespace birkhoff
