#include "tests/cuda/emulator/device.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "tests/cuda/emulator/cluster.h"
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

std::string why_refused(const cuda::Launch& how, size_t allowed) {
  const Dim g = how.grid;
  if (volume(how.block) == 0 || volume(how.block) > cuda::kMaxThreads)
    return fmt::format("a block of {} threads", to_string(how.block));
  if (volume(g) == 0 || g.x > 0x7FFFFFFFu || g.y > 0xFFFFu || g.z > 0xFFFFu)
    return fmt::format("a grid of {} blocks", to_string(g));
  if (how.cluster == 0 || how.cluster > cuda::kMaxCluster || g.x % how.cluster != 0)
    return fmt::format("a grid of {} blocks in clusters of {}", to_string(g), how.cluster);
  if (how.shared_bytes > allowed)
    return fmt::format("{} bytes of shared memory; {} are allowed to it", how.shared_bytes,
                       allowed);
  return "";
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
  for (const uint64_t c : order_of(volume(how.grid) / how.cluster)) {
    const uint64_t b = c * how.cluster;  // the cluster's first block
    const Dim first{unsigned(b % how.grid.x), unsigned(b / how.grid.x % how.grid.y),
                    unsigned(b / how.grid.x / how.grid.y)};
    shared_memory().begin_cluster(how.cluster, how.shared_bytes);
    if (observer())
      observer()->begin_cluster(unsigned(b), how.cluster, unsigned(volume(how.block)));
    std::string wrong = cluster().run(job, first, schedule_, chance_);
    if (observer()) observer()->end_cluster();
    const std::string outside = shared_memory().end_cluster();
    if (wrong.empty() && !outside.empty())
      wrong = fmt::format("[{}] block {}: {}", name, to_string(first), outside);
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

std::vector<uint64_t> Device::order_of(uint64_t clusters) {
  std::vector<uint64_t> order(clusters);
  std::iota(order.begin(), order.end(), 0);
  if (schedule_.order == Order::lifo) std::reverse(order.begin(), order.end());
  if (schedule_.order == Order::random)
    for (uint64_t i = clusters; i > 1; --i) std::swap(order[i - 1], order[chance_.below(i)]);
  return order;
}

}  // namespace birkhoff::emulator
