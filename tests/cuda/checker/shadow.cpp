#include "tests/cuda/checker/shadow.h"

#include <algorithm>

namespace birkhoff::emulator {

void Shadow::allocated(const void* device, size_t bytes) {
  device_[static_cast<const std::byte*>(device)] = std::vector<Cell>(bytes);
}

Cell* Shadow::shared(const void* p, size_t bytes) {
  auto& [cells, of_cluster] = shared_[shared_memory().rank(p)];
  if (cells.empty()) {
    cells.resize(SharedMemory::kWindow);
    of_cluster.resize(SharedMemory::kWindow);
  }
  const size_t begin = shared_memory().offset(p), end = std::min(begin + bytes, cells.size());
  for (size_t i = begin; i < end; ++i)
    if (of_cluster[i] != cluster_) of_cluster[i] = cluster_, cells[i] = {};
  return begin + bytes <= cells.size() ? &cells[begin] : nullptr;
}

Cell* Shadow::device(const void* p, size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(p);
  auto after = device_.upper_bound(begin);
  if (after == device_.begin()) return nullptr;
  auto& [base, cells] = *std::prev(after);
  const size_t offset = size_t(begin - base);
  return offset + bytes <= cells.size() ? &cells[offset] : nullptr;
}

}  // namespace birkhoff::emulator
