#pragma once
// A stack of its own for a function that is left and entered again: one for each CUDA thread.
// Switching costs about 10 ns. Not thread-safe: all fibers belong to one thread of the host.
#include <cstddef>

namespace birkhoff::emulator {

// Where a fiber, or the host itself, goes on.
struct Context {
  void* stack_pointer = nullptr;
  const void* bottom = nullptr;  // of its stack, as ASan wants to know it
  size_t bytes = 0;
  void* fake_stack = nullptr;  // ASan's own
};

// Leaves `from`, goes on in `to`. With `ends`, `from` is never entered again.
void switch_context(Context& from, Context& to, bool ends = false);

// What the entry of a fiber calls first.
void begin_context();

// The context of the host's thread, whose stack is the system's.
Context host_context();

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch to context() enters `entry`, which must not return. What was on the stack is
  // forgotten.
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
