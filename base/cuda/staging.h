#pragma once
// Copies between host and device memory through a ring of pinned chunks, because CUDA copies
// asynchronously only from and to pinned memory. A tensor larger than a chunk is copied in pieces.
// Not thread-safe, like its Gpu.
//
// After a call returns, the caller may use its memory again: nothing reads or writes it later.
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/cuda/arena.h"
#include "base/cuda/stream.h"

namespace birkhoff::cuda {

struct StagingOptions {
  // PCIe moves 4 MiB in 80 µs (5.0 × 16) to 160 µs (4.0), much more than the 10 µs that it takes to
  // start a copy. Two chunks suffice if the host keeps pace; four allow it a pause.
  size_t chunk_bytes = size_t{4} << 20;
  int chunks = 4;
};

class Staging {
 public:
  using Options = StagingOptions;
  // Throws ResourceError if the system refuses to pin that much memory.
  explicit Staging(const Gpu& gpu, const Options& options = {});
  ~Staging();  // waits for the device
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Copies after the work already given to `stream`. Returns when `from` has been read; the device
  // may still be copying. Throws InternalError unless the sizes are equal.
  void upload(DeviceBytes to, std::span<const std::byte> from, const Stream& stream);
  // Likewise. Returns when `to` has been written, so the host waits for the stream.
  void download(std::span<std::byte> to, DeviceBytes from, const Stream& stream);

 private:
  struct Chunk {
    std::byte* data;
    Event copied;  // recorded after the last copy from or to the chunk
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
  size_t next_ = 0;  // running number of the next chunk, see chunk()
};

}  // namespace birkhoff::cuda
