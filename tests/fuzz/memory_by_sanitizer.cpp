// memory.h for sanitizers with their own allocator: counts by the sanitizer's hooks.
#include <algorithm>
#include <cstddef>

#include "tests/fuzz/memory.h"

// As in sanitizer/allocator_interface.h, which Debian's g++ does not have.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*given)(const volatile void*, size_t),
                                              void (*taken_back)(const volatile void*));
size_t __sanitizer_get_allocated_size(const volatile void* p);
}

namespace birkhoff::fuzz {
namespace {

thread_local Memory counted;

void given(const volatile void*, size_t bytes) {
  counted.live += int64_t(bytes);
  counted.peak = std::max(counted.peak, counted.live);
}

void taken_back(const volatile void* p) {
  if (p) counted.live -= int64_t(__sanitizer_get_allocated_size(p));
}

}  // namespace

Memory& memory() {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(given, taken_back);
  (void)installed;
  return counted;
}

}  // namespace birkhoff::fuzz
