#pragma once
// Calls of this executable that get memory, by all of its threads: malloc and what stands beside
// it, hence operator new, and mmap, which arenas are made by. glibc alone; not under sanitizers,
// whose own stand before the same calls.
#include <cstdint>

namespace birkhoff::testing {

int64_t allocations();

}  // namespace birkhoff::testing
