#pragma once
// Runs kernels: clusters in the order of the schedule, each in its own shared memory.
#include <functional>
#include <map>
#include <optional>

#include "kernels/cuda/device/types.h"
#include "tests/cuda/emulator/schedule.h"

namespace birkhoff::emulator {

// A launch.
struct Job {
  const char* kernel;
  cuda::Launch how;
  size_t most_shared;  // bytes that a block may have: declared and added by the launch
  std::function<void()> body;
};

class Device {
 public:
  void reset(const Schedule& schedule);
  const Schedule& schedule() const { return schedule_; }
  Chance& chance() { return chance_; }

  // What goes wrong becomes the machine's fault(). `operation` is the place in the streams' order.
  void run(const Job& job, uint32_t operation);
  uint32_t operation() const { return operation_; }  // that runs

  // Bytes of shared memory that a launch may add; none: nobody has asked for this kernel.
  std::optional<size_t> allowed_shared(const void* kernel) const;
  void allow_shared(const void* kernel, size_t bytes) { allowed_shared_[kernel] = bytes; }

 private:
  std::vector<uint64_t> order_of(uint64_t clusters);

  Schedule schedule_;
  Chance chance_;
  uint32_t operation_ = 0;
  std::map<const void*, size_t> allowed_shared_;
};

Device& device();

// Why no device could run it; empty: one could. allowed: bytes of shared memory to add.
std::string why_refused(const cuda::Launch& how, size_t allowed);

}  // namespace birkhoff::emulator
