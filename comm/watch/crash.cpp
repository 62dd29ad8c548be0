#include "comm/watch/crash.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>

#include "base/error.h"
#include "comm/watch/frame.h"

namespace birkhoff {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL};
constexpr size_t kStackBytes = size_t(64) << 10;

// What the handler reads: made before the handler is installed, freed after it is removed.
struct State {
  const Beacon* beacon = nullptr;
  std::unique_ptr<std::atomic<int>[]> descriptors;
  std::unique_ptr<bool[]> told;  // used by the handler only
  int count = 0;
  pid_t pid = 0;
  std::atomic<bool> crashed{false}, settled{false};
  struct sigaction before[std::size(kSignals)];
  stack_t stack_before;
  void* stack = nullptr;
};
std::atomic<State*> state{nullptr};

void nap(int milliseconds) {
  const timespec time{.tv_sec = 0, .tv_nsec = milliseconds * 1000000L};
  ::nanosleep(&time, nullptr);
}

void tell_all(State& s, int signal) {
  struct {
    FrameHeader header{.bytes = sizeof(CrashMessage), .type = FrameType::crash};
    char message[sizeof(CrashMessage)];
  } frame;
  static_assert(sizeof frame == sizeof(FrameHeader) + sizeof(CrashMessage));
  const Beacon::Snapshot now = s.beacon->snapshot();
  const CrashMessage message{
      .step = now.step, .activity = int32_t(now.activity), .signal = int32_t(signal)};
  std::memcpy(frame.message, &message, sizeof message);
  // mpirun kills the other ranks once it sees one end, so they get a moment to report the cause
  // first. Other threads go on and may let in a rank meanwhile: it is told as well.
  for (int turn = 0; turn < 50; ++turn) {
    for (int i = 0; i < s.count; ++i) {
      const int fd = s.descriptors[i].load(std::memory_order_acquire);
      if (fd < 0 || s.told[i]) continue;
      (void)::send(fd, &frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL);
      s.told[i] = true;
    }
    if (s.settled.load(std::memory_order_acquire)) return;
    nap(10);
  }
}

// Inside the handler the signal is blocked for this thread. On return it is delivered again, to the
// previous handler: by raise, or because the instruction faults again (a sanitizer needs its
// address).
void on_fatal(int signal, siginfo_t* info, void*) {
  State* s = state.load(std::memory_order_acquire);
  if (s && s->pid == ::getpid()) {
    if (s->crashed.exchange(true))
      nap(900);  // another thread's crash is being reported
    else
      tell_all(*s, signal);
    for (size_t i = 0; i < std::size(kSignals); ++i)
      if (kSignals[i] == signal) ::sigaction(signal, &s->before[i], nullptr);
  } else {
    ::signal(signal, SIG_DFL);  // a child after fork
  }
  if (info->si_code <= 0) ::raise(signal);
}

}  // namespace

CrashReport::CrashReport(const Beacon& beacon, int connections) {
  check(!state.load(), "crash report: this process already has one");
  auto s = std::make_unique<State>();
  s->beacon = &beacon;
  s->count = connections;
  s->pid = ::getpid();
  s->descriptors = std::make_unique<std::atomic<int>[]>(size_t(connections));
  s->told = std::make_unique<bool[]>(size_t(connections));
  for (int i = 0; i < connections; ++i) s->descriptors[i].store(-1);
  s->stack =
      ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (s->stack == MAP_FAILED) throw ResourceError("crash report: out of memory for a signal stack");
  const stack_t stack{.ss_sp = s->stack, .ss_flags = 0, .ss_size = kStackBytes};
  ::sigaltstack(&stack, &s->stack_before);
  struct sigaction action = {};
  action.sa_sigaction = on_fatal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  State* const shown = s.release();
  state.store(shown, std::memory_order_release);
  for (size_t i = 0; i < std::size(kSignals); ++i)
    ::sigaction(kSignals[i], &action, &shown->before[i]);
}

CrashReport::~CrashReport() {
  State* const s = state.load();
  for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &s->before[i], nullptr);
  ::sigaltstack(&s->stack_before, nullptr);
  state.store(nullptr);
  ::munmap(s->stack, kStackBytes);
  delete s;
}

void CrashReport::tell(int slot, int descriptor) {
  state.load()->descriptors[slot].store(descriptor, std::memory_order_release);
}

void CrashReport::settled() { state.load()->settled.store(true, std::memory_order_release); }

}  // namespace birkhoff
