#include "launch/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace birkhoff {
namespace {

// 0: none yet; else when the first signal came, in nanoseconds of the monotonic clock.
std::atomic<int64_t> first_signal{0};
static_assert(std::atomic<int64_t>::is_always_lock_free);

extern "C" void on_stop_signal(int signal) {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);  // async-signal-safe
  const int64_t now = t.tv_sec * INT64_C(1'000'000'000) + t.tv_nsec;
  int64_t first = 0;
  if (first_signal.compare_exchange_strong(first, now)) return;
  if (now - first >= std::chrono::nanoseconds(kStopDebounce).count()) ::_exit(128 + signal);
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGUSR1, &action, nullptr);
}

bool stop_requested() { return first_signal.load(std::memory_order_relaxed) != 0; }

}  // namespace birkhoff
