#pragma once
// Copies between host and device that the host has not waited for yet. All host memory is taken for
// pinned: until the wait, what is copied from must stay as it is, and what is copied to holds ones
// (NaN) and must not be written. Both are checked at the wait, so in every schedule.
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
  // Whether a copy from or to that memory is under way, as far as the host knows.
  bool uses(const std::byte* host, size_t bytes) const;
  // The host knows of all operations of `clock`.
  void deliver(const Clock& clock);
  void reset() { under_way_.clear(); }

 private:
  struct Copy {
    std::byte* to_host;              // null: from the host
    const std::byte* from_host;      // null: to the host
    std::vector<std::byte> content;  // as it was at issue, or as it came from the device
    bool checked;                    // false: copies overlap, as they may in one stream
    Moment moment;

    const std::byte* host() const { return to_host ? to_host : from_host; }
    bool touches(const std::byte* p, size_t bytes) const {
      return host() < p + bytes && p < host() + content.size();
    }
  };
  // Whether copies to that memory are under way, or, if asked for, from it: those are not checked.
  bool overlaps(const std::byte* host, size_t bytes, bool sources);
  void end(const Copy& copy);

  std::list<Copy> under_way_;
};

HostCopies& host_copies();

}  // namespace birkhoff::emulator
