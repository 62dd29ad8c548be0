#include "comm/watch/local_watch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace birkhoff {
namespace {

void print_and_leave(const Failure& failure, const std::vector<std::string>& details) {
  std::string text = "birkhoff: " + failure.line() + "\n";
  for (const std::string& line : details) text += "birkhoff:   " + line + "\n";
  std::fputs(text.c_str(), stderr);
  ::_exit(int(failure.code));
}

}  // namespace

LocalWatch::LocalWatch(LocalWatchOptions options)
    : options_(std::move(options)), self_(this_process()), judge_(int(options_.beacons.size()), 0) {
  check(!options_.beacons.empty() && options_.timeout > 0, "local watch: {} ranks, timeout {}",
        options_.beacons.size(), options_.timeout);
  const double round = std::min(0.25, options_.timeout / 8);
  thread_ = std::jthread([this, round](const std::stop_token& stop) {
    // Only the time slept counts: time in which the process did not run accuses no rank.
    for (; !stop.stop_requested() && look(); now_ += round)
      std::this_thread::sleep_for(std::chrono::duration<double>(round));
  });
}

LocalWatch::~LocalWatch() = default;

void LocalWatch::finished(int rank) {
  const std::lock_guard lock(mutex_);
  judge_.finished(rank);
}

bool LocalWatch::look() {
  Failure failure;
  std::vector<std::string> details;
  {
    const std::lock_guard lock(mutex_);
    for (size_t r = 0; r < options_.beacons.size(); ++r)
      judge_.heard(int(r), now_, sign_of(options_.beacons[r]->snapshot()));
    const auto judgement = judge_.judge(now_, options_.timeout);
    if (!judgement) return true;
    failure = failure_of(*judgement, judge_, self_, options_.timeout);
    for (size_t r = 0; r < options_.beacons.size(); ++r)
      details.push_back(fmt::format("rank {} {}", r, judge_.last_collective(int(r), now_)));
  }
  if (options_.on_hang)
    options_.on_hang(failure, details);
  else
    print_and_leave(failure, details);
  return false;
}

}  // namespace birkhoff
