#pragma once
// Runs kernels: their clusters in the schedule's order, each with its own shared memory.
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
  size_t most_shared;  // limit in bytes on a block's static and dynamic shared memory together
  std::function<void()> body;
};

class Device {
 public:
  void reset(const Schedule& schedule);
  const Schedule& schedule() const { return schedule_; }
  Chance& chance() { return chance_; }

  // An error becomes machine.h's fault(). `operation` is the id of the stream operation.
  void run(const Job& job, uint32_t operation);
  uint32_t operation() const { return operation_; }  // the running one

  // Bytes of dynamic shared memory that a launch may have; none if never set for this kernel.
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

// Why no device could run the launch, or an empty string. allowed: limit in bytes on its dynamic
// shared memory.
std::string why_refused(const cuda::Launch& how, size_t allowed);

}  // namespace birkhoff::emulator
