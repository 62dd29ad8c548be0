#include "tests/cuda/emulator/device.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "tests/cuda/emulator/block.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/shared_memory.h"

namespace birkhoff::emulator {
namespace {

Observer* the_observer = nullptr;

uint64_t volume(Dim d) { return uint64_t{d.x} * d.y * d.z; }

}  // namespace

Observer* observer() { return the_observer; }
void set_observer(Observer* observer) { the_observer = observer; }

Device& device() {
  static Device the_device;
  return the_device;
}

void check_launch(const char* name, const cuda::Launch& how, size_t allowed) {
  const Dim g = how.grid;
  if (volume(how.block) == 0 || volume(how.block) > cuda::kMaxThreads)
    throw InternalError(
        fmt::format("[{}] cannot be launched: a block of {} threads", name, to_string(how.block)));
  if (volume(g) == 0 || g.x > 0x7FFFFFFFu || g.y > 0xFFFFu || g.z > 0xFFFFu)
    throw InternalError(
        fmt::format("[{}] cannot be launched: a grid of {} blocks", name, to_string(g)));
  if (how.shared_bytes > allowed)
    throw InternalError(
        fmt::format("[{}] cannot be launched: {} bytes of shared memory; {} are allowed to it",
                    name, how.shared_bytes, allowed));
}

void Device::reset(const Schedule& schedule) {
  schedule_ = schedule;
  chance_ = Chance(schedule.seed);
  allowed_shared_.clear();
}

std::optional<size_t> Device::allowed_shared(const void* kernel) const {
  const auto found = allowed_shared_.find(kernel);
  return found == allowed_shared_.end() ? std::nullopt : std::optional(found->second);
}

void Device::run(const Job& job, uint32_t operation) {
  const Heap::Open open;
  const char* const name = job.kernel;
  const cuda::Launch& how = job.how;
  operation_ = operation;
  if (observer()) observer()->begin_kernel(name, operation);
  for (const uint64_t b : order_of_blocks(volume(how.grid))) {
    const Dim index{unsigned(b % how.grid.x), unsigned(b / how.grid.x % how.grid.y),
                    unsigned(b / how.grid.x / how.grid.y)};
    shared_memory().begin_block(how.shared_bytes);
    if (observer()) observer()->begin_block(unsigned(b), unsigned(volume(how.block)));
    std::string wrong = block().run(job, index, schedule_, chance_);
    if (observer()) observer()->end_block();
    const std::string outside = shared_memory().end_block();
    if (wrong.empty() && !outside.empty())
      wrong = fmt::format("[{}] block {}: {}", name, to_string(index), outside);
    if (!wrong.empty()) {
      set_fault(wrong);
      break;
    }
  }
  if (observer()) observer()->end_kernel();
  if (const std::string wrong = heap().overwritten(); !wrong.empty())
    set_fault(fmt::format("[{}] {}", name, wrong));
  operation_ = 0;
}

std::vector<uint64_t> Device::order_of_blocks(uint64_t blocks) {
  std::vector<uint64_t> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  if (schedule_.order == Order::lifo) std::reverse(order.begin(), order.end());
  if (schedule_.order == Order::random)
    for (uint64_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[chance_.below(i)]);
  return order;
}

}  // namespace birkhoff::emulator
