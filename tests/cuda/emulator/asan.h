#pragma once
// The emulator's calls of ASan. Without ASan they do nothing.
#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace birkhoff::emulator {

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kAsan = true;
inline void poison(const void* p, size_t n) { __asan_poison_memory_region(p, n); }
inline void unpoison(const void* p, size_t n) { __asan_unpoison_memory_region(p, n); }
inline void start_switch(void** fake, const void* bottom, size_t bytes) {
  __sanitizer_start_switch_fiber(fake, bottom, bytes);
}
inline void finish_switch(void* fake) { __sanitizer_finish_switch_fiber(fake, nullptr, nullptr); }
#else
inline constexpr bool kAsan = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
inline void start_switch(void**, const void*, size_t) {}
inline void finish_switch(void*) {}
#endif

}  // namespace birkhoff::emulator
