#include "tests/cuda/emulator/transfer.h"

#include <cstring>

#include "base/format.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/observer.h"
#include "tests/cuda/emulator/streams.h"

namespace birkhoff::emulator {

bool touch(const char* what, uint32_t operation, const std::byte* p, size_t bytes, bool write) {
  std::string wrong = heap().wrong_range(p, bytes);
  if (wrong.empty()) wrong = streams().use(p, operation);
  if (!wrong.empty()) {
    set_fault(fmt::format("[{}] {}", what, wrong));
    return false;
  }
  if (observer()) observer()->transfer(operation, p, bytes, write);
  return true;
}

void copy_to_device(uint32_t operation, std::byte* device, const std::byte* host, size_t bytes) {
  const Heap::Open open;
  if (touch("copy to the device", operation, device, bytes, true)) std::memcpy(device, host, bytes);
}

void copy_from_device(uint32_t operation, std::byte* host, const std::byte* device, size_t bytes) {
  const Heap::Open open;
  if (touch("copy from the device", operation, device, bytes, false))
    std::memcpy(host, device, bytes);
}

void copy_on_device(uint32_t operation, std::byte* to, const std::byte* from, size_t bytes) {
  const Heap::Open open;
  if (touch("copy on the device", operation, from, bytes, false) &&
      touch("copy on the device", operation, to, bytes, true))
    std::memmove(to, from, bytes);
}

void fill_on_device(uint32_t operation, std::byte* to, int value, size_t bytes) {
  const Heap::Open open;
  if (touch("fill on the device", operation, to, bytes, true)) std::memset(to, value, bytes);
}

}  // namespace birkhoff::emulator
