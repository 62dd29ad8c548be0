#pragma once
// Runs several ranks as threads, with random delays, under a hard timeout.
#include <chrono>
#include <thread>

#include "base/rng.h"
#include "comm/local/run_ranks.h"
#include "tests/support/hard_timeout.h"

namespace birkhoff::testing {

// Sometimes pauses for up to 0.3 ms, so that ranks reach a call in any order.
class Jitter {
 public:
  explicit Jitter(int rank) : random_(uint64_t(rank), "jitter") {}
  void operator()() {
    if (random_.below(at_++, 8) == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random_.below(at_++, 300)));
  }

 private:
  Random random_;
  uint64_t at_ = 0;
};

inline void run_in_time(int size, const std::function<void(Communicator&)>& body,
                        const RunRanksOptions& options = {}) {
  const HardTimeout timeout(60, "ranks as threads");
  run_ranks(size, body, options);
}

// Code and line of what the first rank to fail threw; "none" if none failed.
inline std::string failure_in_time(int size, const std::function<void(Communicator&)>& body,
                                   const RunRanksOptions& options = {}) {
  try {
    run_in_time(size, body, options);
  } catch (const Error& e) {
    return fmt::format("{}: {}", int(e.code()), e.what());
  }
  return "none";
}

}  // namespace birkhoff::testing
