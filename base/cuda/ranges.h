#pragma once
// Ranges that a profiler draws next to its kernels (NVTX 3). A profiler requests them by setting
// NVTX_INJECTION64_PATH to a library of its own; otherwise a range costs a test of a pointer. The
// protocol of nvtx3/nvtxDetail/nvtxTypes.h is declared anew, so that no header or library of CUDA
// is needed. A range belongs to the thread that pushes it.
#include <string>

namespace birkhoff::cuda {

class Ranges {
 public:
  // Loads the library `injection`; null or empty means that no profiler asks. If it cannot be
  // loaded or refuses, only the ranges are missing, and line() says so. Not for two threads at a
  // time.
  explicit Ranges(const char* injection);

  void push(const char* name) const {
    if (push_) push_(name);
  }
  void pop() const {
    if (pop_) pop_();
  }
  const std::string& line() const { return line_; }

 private:
  int (*push_)(const char*) = nullptr;
  int (*pop_)() = nullptr;
  std::string line_;
};

// The process's ranges, set up from its environment. Thread-safe.
const Ranges& ranges();

}  // namespace birkhoff::cuda
