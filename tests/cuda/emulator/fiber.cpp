#include "tests/cuda/emulator/fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>

#include "base/error.h"
#include "tests/cuda/emulator/asan.h"

// Saves the callee-saved registers of the System V ABI for x86-64, and switches stacks. The control
// words of SSE and x87 are not saved, as fibers never change the host's.
extern "C" void birkhoff_switch_stack(void** save, void* to);
asm(R"(
.text
.globl birkhoff_switch_stack
.type birkhoff_switch_stack, @function
birkhoff_switch_stack:
  endbr64
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size birkhoff_switch_stack, . - birkhoff_switch_stack
)");

namespace birkhoff::emulator {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kSaved = 6;                             // registers
constexpr size_t kStack = kAsan ? 256 << 10 : 64 << 10;  // ASan's redzones need several times more

}  // namespace

void switch_context(Context& from, Context& to, bool ends) {
  start_switch(ends ? nullptr : &from.fake_stack, to.bottom, to.bytes);
  birkhoff_switch_stack(&from.stack_pointer, to.stack_pointer);
  finish_switch(from.fake_stack);
}

void begin_context() { finish_switch(nullptr); }

Context host_context() {
  pthread_attr_t attributes;
  void* bottom = nullptr;
  Context context;
  check(pthread_getattr_np(pthread_self(), &attributes) == 0, "cannot ask for the host's stack");
  pthread_attr_getstack(&attributes, &bottom, &context.bytes);
  pthread_attr_destroy(&attributes);
  context.bottom = bottom;
  return context;
}

Fiber::Fiber() {
  void* memory = mmap(nullptr, kPage + kStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw ResourceError("no memory for the stack of an emulated thread");
  memory_ = static_cast<std::byte*>(memory);
  mprotect(memory_, kPage, PROT_NONE);
  context_.bottom = memory_ + kPage;
  context_.bytes = kStack;
}

Fiber::~Fiber() {
  unpoison(memory_, kPage + kStack);
  munmap(memory_, kPage + kStack);
}

void Fiber::prepare(void (*entry)()) {
  unpoison(context_.bottom, context_.bytes);
  // From the top: the entry's own return address (null), the address that the switch returns to
  // (the entry), and the saved registers. At entry the stack pointer is 8 modulo 16, as after a
  // call.
  auto** top = reinterpret_cast<void**>(memory_ + kPage + kStack) - 1;
  top[0] = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (size_t i = 0; i < kSaved; ++i) *--top = nullptr;
  context_.stack_pointer = top;
  context_.fake_stack = nullptr;
}

bool Fiber::guards(const void* address) const {
  return address >= memory_ && address < memory_ + kPage;
}

}  // namespace birkhoff::emulator
