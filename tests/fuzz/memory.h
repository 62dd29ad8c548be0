#pragma once
// Bytes of the heap that this thread holds, and their highest number. memory_by_new.cpp counts by a
// replacement of operator new, which holds for the whole executable; memory_by_sanitizer.cpp by the
// hooks of the sanitizer that the build is for, since its operator new is not to be replaced.
#include <cstdint>

namespace birkhoff::fuzz {

struct Memory {
  int64_t live = 0, peak = 0;
};
Memory& memory();

}  // namespace birkhoff::fuzz
