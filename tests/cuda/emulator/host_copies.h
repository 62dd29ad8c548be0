#pragma once
// Copies between host and device that the host has not waited for yet. All host memory is treated
// as pinned: until the wait, the source must not change, and the destination holds ones (NaN) and
// must not be written. Both are checked at the wait, and so in every schedule.
#include <cstddef>
#include <list>
#include <vector>

#include "tests/cuda/emulator/streams.h"

namespace birkhoff::emulator {

class HostCopies {
 public:
  // Queues the copy.
  void to_device(std::byte* device, const std::byte* host, size_t bytes, int stream);
  void to_host(std::byte* host, const std::byte* device, size_t bytes, int stream);
  // Whether a copy from or to that memory is in flight, as far as the host knows.
  bool uses(const std::byte* host, size_t bytes) const;
  // Completes the copies among the operations of `clock`, which the host has now waited for.
  void deliver(const Clock& clock);
  void reset() { under_way_.clear(); }

 private:
  struct Copy {
    std::byte* to_host;              // null: a copy from the host
    const std::byte* from_host;      // null: a copy to the host
    std::vector<std::byte> content;  // as it was when issued, or as it came from the device
    bool checked;                    // false: it overlaps another, as copies of a stream may
    Moment moment;

    const std::byte* host() const { return to_host ? to_host : from_host; }
    bool touches(const std::byte* p, size_t bytes) const {
      return host() < p + bytes && p < host() + content.size();
    }
  };
  // Whether copies to that memory (with `sources`, also from it) are in flight. Exempts such copies
  // from the checks.
  bool overlaps(const std::byte* host, size_t bytes, bool sources);
  void end(const Copy& copy);

  std::list<Copy> under_way_;
};

HostCopies& host_copies();

}  // namespace birkhoff::emulator
