#pragma once
// Ranges that a profiler draws beside its kernels (NVTX 3). A profiler asks for them by the
// environment's NVTX_INJECTION64_PATH, a library of its own; without it a range is a test of a
// pointer. The protocol is that of nvtx3/nvtxDetail/nvtxTypes.h, declared anew: no header and no
// library of CUDA is needed. A range belongs to the thread that pushes it.
#include <string>

namespace birkhoff::cuda {

class Ranges {
 public:
  // Loads `injection`. Null or empty: nobody asks. One that cannot be loaded or refuses costs the
  // ranges alone; line() says so. Not for two threads at a time.
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

// Those of the process, by its environment. Thread-safe.
const Ranges& ranges();

}  // namespace birkhoff::cuda
