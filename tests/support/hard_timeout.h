#pragma once
// Ends the whole test process if it still runs after the given seconds, for tests in which a
// mistake would make ranks wait for each other for ever.
//
//   const HardTimeout timeout(60, "all_reduce over 8 ranks");
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace birkhoff::testing {

class HardTimeout {
 public:
  HardTimeout(int seconds, std::string what);
  ~HardTimeout();
  HardTimeout(const HardTimeout&) = delete;
  HardTimeout& operator=(const HardTimeout&) = delete;

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace birkhoff::testing
