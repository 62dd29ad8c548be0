#pragma once
// Runs kernels: blocks in the order of the schedule, each in its own shared memory.
#include <functional>

#include "kernels/cuda/device/types.h"
#include "tests/cuda/emulator/schedule.h"

namespace birkhoff::emulator {

class Device {
 public:
  void reset(const Schedule& schedule);
  const Schedule& schedule() const { return schedule_; }
  Chance& chance() { return chance_; }

  // What goes wrong becomes the machine's fault(). `operation` is the place in the streams' order.
  void run(const char* name, const cuda::Launch& how, const std::function<void()>& body,
           uint32_t operation);
  uint32_t operation() const { return operation_; }  // that runs

 private:
  std::vector<uint64_t> order_of_blocks(uint64_t blocks);

  Schedule schedule_;
  Chance chance_;
  uint32_t operation_ = 0;
};

Device& device();

// Throws InternalError if no device could run it.
void check_launch(const char* name, const cuda::Launch& how);

}  // namespace birkhoff::emulator
