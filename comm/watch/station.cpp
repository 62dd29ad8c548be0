#include "comm/watch/station.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "comm/watch/verdict.h"

namespace birkhoff {
namespace {

using std::chrono::milliseconds;

constexpr double kBeatSeconds = 0.25;
constexpr double kDefaultTimeout = 60, kStepsOfPatience = 5;
constexpr double kMaxRound = 1;                      // most that a round adds to the clock
constexpr auto kGrace = milliseconds(1000);          // for the rank's thread to leave by itself
constexpr auto kReap = milliseconds(3000);           // for all other ranks of this machine to leave
constexpr auto kNoAnswer = std::chrono::seconds(5);  // from the watchdog's thread
constexpr auto kLook = milliseconds(20);

// Writes straight to the descriptor, since the rank's thread may hold any lock. If nobody reads (a
// stopped mpirun), gives up: that must not delay the end.
void print(const std::string& text) {
  pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&ready, 1, 200) != 1) return;
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (n <= 0) return;
    done += size_t(n);
  }
}

void print_failure(const Failure& failure, const std::vector<std::string>& details) {
  std::string text = "birkhoff: " + failure.line() + "\n";
  for (const std::string& line : details) text += "birkhoff:   " + line + "\n";
  print(text);
}

// Signals are for the rank's threads, and a SIGPIPE from a closed stderr must not end the process
// here.
void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL}) ::sigdelset(&all, fatal);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

Station::Station(WatchdogOptions options)
    : options_(std::move(options)),
      self_(this_process()),
      peers_(size_t(options_.size)),
      crash_(*options_.beacon, options_.size) {
  check(options_.rank >= 0 && options_.rank < options_.size && options_.timeout >= 0,
        "watchdog: rank {} of {}, timeout {}", options_.rank, options_.size, options_.timeout);
  peers_[size_t(options_.rank)] = self_;
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) throw ResourceError(fmt::format("watchdog: eventfd: {}", std::strerror(errno)));
}

Station::~Station() { ::close(wake_); }

void Station::start() {
  last_round_ = Clock::now();
  thread_ = std::thread([this] { run(); });
}

void Station::stop() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  news_.notify_all();
  ::eventfd_write(wake_, 1);
  thread_.join();
}

void Station::step_took(double seconds) {
  if (seconds > slowest_step_.load(std::memory_order_relaxed))
    slowest_step_.store(seconds, std::memory_order_relaxed);
}

double Station::timeout() const {
  if (options_.timeout > 0) return options_.timeout;
  return std::max(kDefaultTimeout,
                  kStepsOfPatience * slowest_step_.load(std::memory_order_relaxed));
}

ExitCode Station::report(const std::exception& error) {
  const Failure own = failure_of(error, options_.rank, self_, *options_.beacon);
  std::unique_lock lock(mutex_);
  if (!failure_ && !finished_) {
    reported_ = own;
    ::eventfd_write(wake_, 1);
    news_.wait_for(lock, kNoAnswer, [&] { return failure_.has_value(); });
  }
  if (failure_) return failure_->code;
  print_failure(own, {});  // finish() has returned on all ranks: no other rank will
  return own.code;
}

void Station::finish() {
  std::unique_lock lock(mutex_);
  finish_asked_ = true;
  ::eventfd_write(wake_, 1);
  news_.wait(lock, [&] { return failure_ || finished_; });
  if (failure_) throw PeerError(failure_->line());
}

std::optional<Failure> Station::take_report() {
  const std::lock_guard lock(mutex_);
  return std::exchange(reported_, std::nullopt);
}

bool Station::finish_asked() {
  const std::lock_guard lock(mutex_);
  return finish_asked_;
}

void Station::complete() {
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  news_.notify_all();
}

void Station::conclude(const Failure& failure, bool prints,
                       const std::vector<std::string>& details) {
  if (failure_) return;
  // Prints before it tells the others: mpirun kills all ranks as soon as one leaves.
  if (prints) print_failure(failure, details);
  leave_verdict(failure.code);
  tell(failure);
  crash_.settled();
  {
    const std::lock_guard lock(mutex_);
    failure_ = failure;
  }
  news_.notify_all();
  options_.abort();
  write_log(failure, details);
}

// Writes on a thread of its own, since the failure may be a file system that does not answer.
void Station::write_log(const Failure& failure, const std::vector<std::string>& details) {
  std::vector<std::string> lines = {failure.line()};
  lines.insert(lines.end(), details.begin(), details.end());
  log_thread_ = std::thread([this, lines] {
    for (const std::string& line : lines) options_.log(line);
    logged_ = true;
  });
}

void Station::run() {
  block_signals();
  for (;;) {
    wait_for_news();
    serve();
    if (failure_) return end();
    if (now_ >= next_beat_) beat(), next_beat_ = now_ + kBeatSeconds;
    const std::lock_guard lock(mutex_);
    if (leaving_ && !finished_) drop_connections();
    if (leaving_) return;
  }
}

void Station::wait_for_news() {
  std::vector<pollfd> set = {{.fd = wake_, .events = POLLIN, .revents = 0}};
  listen_to(set);
  const double seconds = std::clamp(next_beat_ - now_, 0.0, kBeatSeconds);
  ::poll(set.data(), set.size(), int(seconds * 1000) + 1);
  uint64_t woken = 0;
  ::eventfd_read(wake_, &woken);
  const auto round = Clock::now();
  now_ += std::min(kMaxRound, std::chrono::duration<double>(round - last_round_).count());
  last_round_ = round;
}

bool Station::lowest_here(int from) const {
  for (int r = from; r < options_.rank; ++r) {
    const ProcessId& p = peers_[size_t(r)];
    if (p.pid > 0 && p.machine == self_.machine && state_of(p) == ProcessState::running)
      return false;
  }
  return true;
}

bool Station::any_here() const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const ProcessId& p) {
    return p.pid > 0 && p.pid != self_.pid && p.machine == self_.machine &&
           state_of(p) != ProcessState::gone;
  });
}

void Station::kill_stopped() const {
  for (const ProcessId& p : peers_)
    if (p.pid > 0 && p.machine == self_.machine && state_of(p) == ProcessState::stopped)
      kill_process(p);
}

void Station::end() {
  const auto began = Clock::now();
  const auto wait_while = [&](auto limit, const auto& condition) {
    std::unique_lock lock(mutex_);
    while (Clock::now() - began < limit && condition()) {
      news_.wait_for(lock, kLook);
      lock.unlock();
      others_left();  // keeps reading, so that the others are not blocked
      lock.lock();
    }
  };
  // If rank 0 is lost, waits even if leaving: others check who is running to find who prints.
  wait_while(kGrace, [&] { return !leaving_ || lost_rank_0_; });
  kill_stopped();  // not earlier: the others would take a stopped rank 0 for killed
  wait_while(kReap, [&] { return !others_left(); });
  if (lowest_here(0)) {
    wait_while(kReap, [&] { return any_here(); });
    for (const ProcessId& p : peers_)
      if (p.pid > 0) kill_process(p);
  }
  wait_while(kReap, [&] { return !logged_; });
  if (logged_) log_thread_.join();
  const std::lock_guard lock(mutex_);
  if (!leaving_ || log_thread_.joinable()) ::_exit(int(failure_->code));
}

}  // namespace birkhoff
