#include "tests/support/hard_timeout.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace birkhoff::testing {

HardTimeout::HardTimeout(int seconds, std::string what) {
  thread_ = std::thread([this, seconds, text = std::move(what)] {
    std::unique_lock guard(lock_);
    if (changed_.wait_for(guard, std::chrono::seconds(seconds), [&] { return over_; })) return;
    std::fprintf(stderr, "still running after %d s: %s\n", seconds, text.c_str());
    std::_Exit(124);
  });
}

HardTimeout::~HardTimeout() {
  {
    const std::lock_guard guard(lock_);
    over_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

}  // namespace birkhoff::testing
