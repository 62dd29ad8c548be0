#pragma once
// Copies between the host's memory and the device's, through a ring of pinned chunks: CUDA copies
// from and to pinned memory alone while the host goes on. A tensor that is larger than a chunk goes
// in pieces. Not thread-safe, like its Gpu.
//
// A caller's memory is its own again when a call returns: nobody can change or read it too early.
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/cuda/arena.h"
#include "base/cuda/stream.h"

namespace birkhoff::cuda {

struct StagingOptions {
  // PCIe moves 4 MiB in 80 µs (5.0 × 16) to 160 µs (4.0): much more than the 10 µs that a copy
  // costs to start. Two would do where the host keeps pace; four forgive it a pause.
  size_t chunk_bytes = size_t{4} << 20;
  int chunks = 4;
};

class Staging {
 public:
  using Options = StagingOptions;
  // Throws ResourceError where the system refuses so much pinned memory.
  explicit Staging(const Gpu& gpu, const Options& options = {});
  ~Staging();  // waits for the device
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Behind what `stream` has been given. Returns when `from` has been read; the device may be
  // behind. Throws InternalError unless both have one size.
  void upload(DeviceBytes to, std::span<const std::byte> from, const Stream& stream);
  // The same the other way. Returns when `to` has been written: the host waits for the stream.
  void download(std::span<std::byte> to, DeviceBytes from, const Stream& stream);

 private:
  struct Chunk {
    std::byte* data;
    Event copied;  // the last copy from or to it
  };
  struct Free {
    void operator()(std::byte* p) const { cudaFreeHost(p); }
  };
  size_t pieces(size_t bytes) const { return (bytes + chunk_bytes_ - 1) / chunk_bytes_; }
  size_t piece_bytes(size_t piece, size_t bytes) const;
  Chunk& chunk(size_t number) { return chunks_[number % chunks_.size()]; }
  void fetch(Chunk& chunk, DeviceBytes from, const Stream& stream);

  const Gpu& gpu_;
  size_t chunk_bytes_;
  std::unique_ptr<std::byte, Free> memory_;
  std::vector<Chunk> chunks_;
  size_t next_ = 0;  // chunk, counted on without end
};

}  // namespace birkhoff::cuda
