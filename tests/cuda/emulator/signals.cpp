// Handles accesses to forbidden memory: by a kernel's thread, they become a fault of the launch; by
// the host, they end the process with a one-line message.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "tests/cuda/emulator/asan.h"
#include "tests/cuda/emulator/cluster.h"
#include "tests/cuda/emulator/heap.h"

namespace birkhoff::emulator {
namespace {

const void* touched = nullptr;

std::string what_is_at(const void* p) {
  const Allocation* a = heap().find(p);
  if (!a) return fmt::format("{}, where no allocation is", p);
  return fmt::format("byte {} of an allocation of {}{}", static_cast<const std::byte*>(p) - a->data,
                     a->bytes, a->freed ? " that has been freed" : "");
}

std::string text;

// Runs instead of the instruction that failed, on the fiber's stack.
[[noreturn]] void fail_kernel() {
  const bool full = cluster().running()->fiber.guards(touched);
  text = full ? "its stack is full" : "touches " + what_is_at(touched);
  cluster().fail_at_once(text);
}

void on_fault(int, siginfo_t* info, void* machine_state) {
  touched = info->si_addr;
  const Thread* t = cluster().running();
  if (t && (heap().has(touched) || t->fiber.guards(touched))) {
    auto& registers = static_cast<ucontext_t*>(machine_state)->uc_mcontext.gregs;
    // The new stack pointer is below the red zone and aligned as after a call. A full stack is
    // reused from its top, as nothing returns to it.
    auto stack = reinterpret_cast<uintptr_t>(t->fiber.top());
    if (t->fiber.guards(touched))
      unpoison(cluster().current().fiber.context().bottom,
               cluster().current().fiber.context().bytes);
    else
      stack = uintptr_t(registers[REG_RSP]) - 128;
    registers[REG_RSP] = greg_t((stack & ~uintptr_t{15}) - 8);
    registers[REG_RIP] = greg_t(reinterpret_cast<uintptr_t>(&fail_kernel));
    return;
  }
  if (heap().has(touched)) {
    text = "the host touches device memory: " + what_is_at(touched) + "\n";
    (void)!write(STDERR_FILENO, text.data(), text.size());
  }
  std::signal(SIGSEGV, SIG_DFL);
  std::raise(SIGSEGV);
}

// The handler has a stack of its own, as a full one cannot hold its frame.
const bool kInstalled = [] {
  constexpr size_t kBytes = 64 << 10;
  static const auto memory = std::make_unique<std::byte[]>(kBytes);
  stack_t stack{};
  stack.ss_sp = memory.get(), stack.ss_size = kBytes;
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaltstack(&stack, nullptr);
  sigaction(SIGSEGV, &action, nullptr);
  return true;
}();

}  // namespace
}  // namespace birkhoff::emulator
