#include "launch/stop_signal.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "comm/watch/process.h"

// The handler and all that it calls are async-signal-safe: no allocation, no locks, no stdio.
namespace birkhoff {
namespace {

// The first signal: microseconds of the monotonic clock × 256 + its number; 0: none yet.
std::atomic<int64_t> first_signal{0};
std::atomic<const Beacon*> announcing{nullptr};
std::atomic<bool> announced{false};
static_assert(std::atomic<int64_t>::is_always_lock_free);

// Builds a line without allocating. Text that does not fit is dropped.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    const size_t n = std::min(text.size(), sizeof text_ - size_);
    std::copy_n(text.data(), n, text_ + size_);
    size_ += n;
    return *this;
  }
  Line& operator<<(int64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view(digits, size_t(end - digits));
  }
  // A reader that does not read (a stopped terminal) must not hold up the run.
  void print() const {
    pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) == 1 && ::write(STDERR_FILENO, text_, size_) < 0) {
      // nobody reads it
    }
  }

 private:
  char text_[256];
  size_t size_ = 0;
};

// Begins a line; on a terminal it replaces the progress line.
Line begun_line() {
  Line line;
  if (::isatty(STDERR_FILENO) == 1) line << "\r\x1b[K";
  line << "birkhoff: ";
  return line;
}

Line& what_follows(Line& line, const Beacon::Snapshot& now) {
  switch (now.activity) {
    case Activity::init:
    case Activity::load:
      return line << "ending before the first step; signal again to end at once";
    case Activity::evaluate:
      line << "stopping the evaluation after step " << now.step << ", then saving";
      break;
    case Activity::save:
      return line << "finishing the checkpoint of step " << now.step
                  << "; signal again to end at once";
    case Activity::finish:
      return line << "the last step is done and saved";
    case Activity::data:
      line << "saving before or after step " << now.step;
      break;
    default:
      line << "finishing step " << now.step << ", then saving";
  }
  return line << "; signal again to end at once without saving";
}

void announce() {
  const Beacon* const beacon = announcing.load();
  if (!beacon || announced.exchange(true)) return;
  Line line = begun_line();
  line << "stop requested (" << name_of_signal(int(first_signal.load() % 256)) << "): ";
  (what_follows(line, beacon->snapshot()) << "\n").print();
}

extern "C" void on_stop_signal(int signal) {
  const int error = errno;
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  const int64_t now = t.tv_sec * INT64_C(1'000'000) + t.tv_nsec / 1000;
  int64_t first = 0;
  if (first_signal.compare_exchange_strong(first, now * 256 + signal)) {
    announce();
  } else if (now - first / 256 >= std::chrono::microseconds(kStopDebounce).count()) {
    if (announcing.load()) {
      Line line = begun_line();
      (line << "ended at once (" << name_of_signal(signal) << "), without saving\n").print();
    }
    ::_exit(128 + signal);
  }
  errno = error;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGHUP, SIGTERM, SIGUSR1}) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

bool stop_requested() { return first_signal.load(std::memory_order_relaxed) != 0; }

StopAnnouncement::StopAnnouncement(const Beacon& beacon) {
  announcing.store(&beacon);
  if (stop_requested()) announce();
}

StopAnnouncement::~StopAnnouncement() { announcing.store(nullptr); }

}  // namespace birkhoff
