#pragma once
// Fibers: functions with their own stack that can be suspended and resumed, one for each CUDA
// thread. Switching costs about 10 ns. Not thread-safe: all fibers belong to one host thread.
#include <cstddef>

namespace birkhoff::emulator {

// The point where a fiber, or the host itself, resumes.
struct Context {
  void* stack_pointer = nullptr;
  const void* bottom = nullptr;  // the lowest address of its stack; this and `bytes` are for ASan
  size_t bytes = 0;
  void* fake_stack = nullptr;  // owned by ASan
};

// Suspends `from` and resumes `to`. With `ends`, `from` is never resumed.
void switch_context(Context& from, Context& to, bool ends = false);

// A fiber's entry must call this first.
void begin_context();

// The context of the host's thread, which has the system's stack.
Context host_context();

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch to context() calls `entry`, which must not return. Discards the old stack.
  void prepare(void (*entry)());
  Context& context() { return context_; }
  bool guards(const void* address) const;  // is it in the page below the stack?
  const void* top() const {
    return static_cast<const std::byte*>(context_.bottom) + context_.bytes;
  }

 private:
  Context context_;
  std::byte* memory_ = nullptr;  // a guard page, then the stack
};

}  // namespace birkhoff::emulator
