// -fsanitize=thread inserts a call of these functions before each load and store of the kernels'
// sources. They replace the sanitizer's own runtime, which is not linked.
#include <cstddef>
#include <cstdint>

#include "tests/cuda/checker/checker.h"
#include "tests/cuda/emulator/cluster.h"

namespace {

void on_access(const void* p, size_t bytes, bool write, const void* pc) {
  if (birkhoff::emulator::cluster().running())
    birkhoff::emulator::checker().plain_access({p, bytes, write, {.pc = pc}});
}

}  // namespace

// NOLINTBEGIN: the names are the compiler's
#define HOOK(name, bytes, write)                             \
  extern "C" void __tsan_##name(void* p) {                   \
    on_access(p, bytes, write, __builtin_return_address(0)); \
  }
#define HOOKS_OF(bytes)                     \
  HOOK(read##bytes, bytes, false)           \
  HOOK(write##bytes, bytes, true)           \
  HOOK(unaligned_read##bytes, bytes, false) \
  HOOK(unaligned_write##bytes, bytes, true) \
  HOOK(volatile_read##bytes, bytes, false)  \
  HOOK(volatile_write##bytes, bytes, true)
HOOKS_OF(1)
HOOKS_OF(2)
HOOKS_OF(4)
HOOKS_OF(8)
HOOKS_OF(16)

extern "C" {
void __tsan_read_range(void* p, size_t bytes) {
  on_access(p, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* p, size_t bytes) {
  on_access(p, bytes, true, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}
// For function-local statics that the kernels' sources instantiate.
int8_t __tsan_atomic8_load(const int8_t* p, int) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
int32_t __tsan_atomic32_fetch_add(int32_t* p, int32_t n, int) {
  return __atomic_fetch_add(p, n, __ATOMIC_ACQ_REL);
}
}
// NOLINTEND
