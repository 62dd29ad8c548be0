#include "tests/fuzz/memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace birkhoff::fuzz {

Memory& memory() {
  static thread_local Memory memory;
  return memory;
}

}  // namespace birkhoff::fuzz

// The other forms of new and delete call these, except those for over-aligned types.
void* operator new(std::size_t bytes) {
  void* p = std::malloc(std::max<std::size_t>(bytes, 1));
  if (!p) throw std::bad_alloc();
  auto& memory = birkhoff::fuzz::memory();
  memory.live += int64_t(malloc_usable_size(p));
  memory.peak = std::max(memory.peak, memory.live);
  return p;
}

void operator delete(void* p) noexcept {
  if (p) birkhoff::fuzz::memory().live -= int64_t(malloc_usable_size(p));
  std::free(p);
}

void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
