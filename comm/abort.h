#pragma once
// A flag that ends a job: a failed rank or a watchdog raises it once, and every wait checks it.
// Thread-safe.
#include <atomic>
#include <string>

#include "base/error.h"

namespace birkhoff {

class AbortFlag {
 public:
  // Makes waits and later calls throw the error of this code with this line: ExitCode::peer for a
  // rank that failed, ExitCode::hang for one that is stuck. Returns false if the flag was already
  // raised.
  bool raise(ExitCode code, std::string line);

  bool raised() const { return raised_.load(std::memory_order_acquire); }
  void check() const {
    if (raised()) fail();
  }
  const std::string& line() const { return line_; }  // once raised
  ExitCode code() const { return code_; }            // once raised

 private:
  [[noreturn]] void fail() const;

  std::atomic<bool> claimed_{false}, raised_{false};
  ExitCode code_ = ExitCode::peer;
  std::string line_;
};

}  // namespace birkhoff
