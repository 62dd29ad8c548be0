#include "tests/cuda/checker/shadow.h"

#include <algorithm>

namespace birkhoff::emulator {

void Shadow::allocated(const void* device, size_t bytes) {
  device_[static_cast<const std::byte*>(device)] = std::vector<Cell>(bytes);
}

Cell* Shadow::shared(const void* p, size_t bytes) {
  if (shared_.empty()) {
    shared_.resize(SharedMemory::kWindow);
    of_block_.resize(SharedMemory::kWindow);
  }
  const size_t begin = shared_memory().offset(p), end = std::min(begin + bytes, shared_.size());
  for (size_t i = begin; i < end; ++i)
    if (of_block_[i] != block_) of_block_[i] = block_, shared_[i] = {};
  return begin + bytes <= shared_.size() ? &shared_[begin] : nullptr;
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
