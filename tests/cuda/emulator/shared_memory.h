#pragma once
// The shared memory of the running cluster. Each block's holds the launch's dynamic memory, then
// each declaration, added when the first thread reaches it, all filled with ones (NaN). The gaps
// between them hold a pattern and are poisoned for ASan.
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/cuda/device/emulated/machine.h"

namespace birkhoff::emulator {

class SharedMemory {
 public:
  SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void begin_cluster(unsigned blocks, size_t dynamic_bytes);
  // Empty if the gaps are unchanged; else which byte was written.
  std::string end_cluster();

  std::byte* dynamic(unsigned rank) const { return window(rank); }
  // The memory of a declaration, at the same offset in all blocks; null if there is no room.
  std::byte* place(const cuda::emulated::SharedSite& site, unsigned rank);
  size_t static_bytes() const { return static_bytes_; }

  bool has(const void* p) const { return p >= memory_ && p < window(blocks_); }
  bool allocated(const void* p, size_t bytes) const;
  unsigned rank(const void* p) const { return unsigned(from_begin(p) / kWindow); }
  size_t offset(const void* p) const { return from_begin(p) % kWindow; }  // in its block's memory
  static constexpr size_t kWindow = 256 << 10;                            // bytes per block

 private:
  struct Piece {
    size_t begin, end;
  };
  void add(size_t begin, size_t bytes);
  std::byte* window(unsigned rank) const { return memory_ + rank * kWindow; }
  size_t from_begin(const void* p) const {
    return size_t(static_cast<const std::byte*>(p) - memory_);
  }

  std::byte* memory_ = nullptr;
  unsigned blocks_ = 0;
  size_t static_bytes_ = 0, top_ = 0;
  std::vector<Piece> pieces_;
  std::unordered_map<const void*, size_t> sites_;  // site → index of its piece
};

SharedMemory& shared_memory();

}  // namespace birkhoff::emulator
