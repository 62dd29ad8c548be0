#include "tests/cuda/emulator/host_copies.h"

#include <algorithm>
#include <cstring>

#include "base/format.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/observer.h"
#include "tests/cuda/emulator/transfer.h"

namespace birkhoff::emulator {
namespace {

constexpr std::byte kNaN{0xFF};

}  // namespace

HostCopies& host_copies() {
  static HostCopies all;
  return all;
}

void HostCopies::to_device(std::byte* device, const std::byte* host, size_t bytes, int stream) {
  const bool checked = !overlaps(host, bytes, false);
  under_way_.push_back({nullptr, host, {host, host + bytes}, checked, {}});
  Copy& copy = under_way_.back();
  copy.moment = {stream, streams().last(stream).number + 1};
  streams().enqueue(stream, [=, this](uint32_t operation) {
    // The copy reads what an earlier copy brought there, even if the host has not waited for that.
    for (Copy& c : under_way_)
      if (c.to_host && c.touches(host, bytes) && streams().done(c.moment))
        std::copy(c.content.begin(), c.content.end(), c.to_host), c.checked = false;
    copy_to_device(operation, device, host, bytes);
  });
}

void HostCopies::to_host(std::byte* host, const std::byte* device, size_t bytes, int stream) {
  const bool checked = !overlaps(host, bytes, true);
  if (checked) std::fill_n(host, bytes, kNaN);
  under_way_.push_back({host, nullptr, std::vector<std::byte>(bytes), checked, {}});
  Copy& copy = under_way_.back();
  copy.moment = {stream, streams().last(stream).number + 1};
  streams().enqueue(stream, [device, bytes, to = copy.content.data()](uint32_t operation) {
    copy_from_device(operation, to, device, bytes);
  });
}

bool HostCopies::overlaps(const std::byte* host, size_t bytes, bool sources) {
  bool any = false;
  for (Copy& c : under_way_)
    if (c.touches(host, bytes) && (c.to_host || sources)) any = true, c.checked = false;
  return any;
}

bool HostCopies::uses(const std::byte* host, size_t bytes) const {
  return std::any_of(under_way_.begin(), under_way_.end(),
                     [&](const Copy& c) { return c.touches(host, bytes); });
}

void HostCopies::end(const Copy& copy) {
  const size_t bytes = copy.content.size();
  if (copy.from_host) {
    if (copy.checked && std::memcmp(copy.from_host, copy.content.data(), bytes) != 0)
      set_fault(
          fmt::format("host memory of {} bytes was written before its copy to the device had "
                      "ended",
                      bytes));
    return;
  }
  const auto written = [](std::byte b) { return b != kNaN; };
  if (copy.checked && std::any_of(copy.to_host, copy.to_host + bytes, written))
    set_fault(
        fmt::format("host memory of {} bytes was written before the copy from the device to "
                    "it had ended",
                    bytes));
  std::copy(copy.content.begin(), copy.content.end(), copy.to_host);
}

void HostCopies::deliver(const Clock& clock) {
  for (auto it = under_way_.begin(); it != under_way_.end();) {
    if (clock.of(it->moment.stream) < it->moment.number) {
      ++it;
      continue;
    }
    end(*it);
    it = under_way_.erase(it);
  }
}

}  // namespace birkhoff::emulator
