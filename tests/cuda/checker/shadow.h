#pragma once
// What is known of a byte of device or shared memory: who wrote it last, who has read it since.
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "tests/cuda/emulator/shared_memory.h"

namespace birkhoff::emulator {

// One thread's access, or a bulk copy's. Operation 0: there was none. block: of the grid; thread: a
// column of the cluster's Clocks.
struct Mark {
  uint32_t operation = 0, block = 0, thread = 0, clock = 0;
  uint32_t site = 0;  // index into Sites
};

struct Cell {
  Mark written;
  std::vector<Mark> read;  // since then, but those that a later one knows of
  bool initialised = false;
  bool in_flight = false;  // a copy may change it at any time
  // Counted as read, as written, by this kernel.
  uint32_t counted_read = 0, counted_written = 0;
};

class Shadow {
 public:
  void begin_cluster() { ++cluster_; }  // shared memory starts over
  void allocated(const void* device, size_t bytes);
  void freed(const void* device) { device_.erase(static_cast<const std::byte*>(device)); }

  // Calls f with the cell of each byte; none of memory that is not known.
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
    std::vector<uint64_t> of_cluster;  // which cluster a cell was last used in
  };
  Window shared_[cuda::kMaxCluster];
  uint64_t cluster_ = 0;
};

}  // namespace birkhoff::emulator
