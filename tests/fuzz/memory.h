#pragma once
// Counts the bytes of the heap that this thread holds, and their peak. memory_by_new.cpp replaces
// operator new, which affects the whole executable; memory_by_sanitizer.cpp uses the hooks of the
// build's sanitizer, whose operator new must not be replaced.
#include <cstdint>

namespace birkhoff::fuzz {

struct Memory {
  int64_t live = 0, peak = 0;
};
Memory& memory();

}  // namespace birkhoff::fuzz
