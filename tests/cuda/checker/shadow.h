#pragma once
// The checker's state of each byte of device and shared memory: its last write and the reads since.
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "tests/cuda/emulator/shared_memory.h"

namespace birkhoff::emulator {

// An access by a thread or a bulk copy. operation: 0 if there was none. block: number in the grid.
// thread: column of the cluster's Clocks.
struct Mark {
  uint32_t operation = 0, block = 0, thread = 0, clock = 0;
  uint32_t site = 0;  // index into Sites
};

struct Cell {
  Mark written;
  std::vector<Mark> read;  // reads since then, except those that a later one has seen
  bool initialised = false;
  bool in_flight = false;  // a copy may change it at any time
  // The last operation that counted this byte as read, as written.
  uint32_t counted_read = 0, counted_written = 0;
};

class Shadow {
 public:
  void begin_cluster() { ++cluster_; }  // resets the state of shared memory
  void allocated(const void* device, size_t bytes);
  void freed(const void* device) { device_.erase(static_cast<const std::byte*>(device)); }

  // Calls f with the cell of each byte; does nothing for memory that is not tracked.
  template <class F>
  void each(const void* p, size_t bytes, F&& f) {
    if (Cell* cells = shared_memory().has(p) ? shared(p, bytes) : device(p, bytes))
      for (size_t i = 0; i < bytes; ++i) f(cells[i]);
  }

 private:
  Cell* shared(const void* p, size_t bytes);
  Cell* device(const void* p, size_t bytes);

  std::map<const std::byte*, std::vector<Cell>> device_;  // by the allocation's address
  struct Window {
    std::vector<Cell> cells;
    std::vector<uint64_t> of_cluster;  // the cluster in which each cell was last used
  };
  Window shared_[cuda::kMaxCluster];
  uint64_t cluster_ = 0;
};

}  // namespace birkhoff::emulator
