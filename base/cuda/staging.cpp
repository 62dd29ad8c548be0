#include "base/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace birkhoff::cuda {
namespace {

void require_one_size(const char* what, size_t to, size_t from) {
  birkhoff::check(to == from, "{} of {} bytes to {}", what, from, to);
}

}  // namespace

Staging::Staging(const Gpu& gpu, const Options& options)
    : gpu_(gpu), chunk_bytes_(options.chunk_bytes) {
  birkhoff::check(chunk_bytes_ > 0 && options.chunks > 0, "a ring of {} chunks of {} bytes",
                  options.chunks, chunk_bytes_);
  const size_t bytes = chunk_bytes_ * size_t(options.chunks);
  void* made = nullptr;
  const cudaError_t status = cudaHostAlloc(&made, bytes, cudaHostAllocDefault);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw ResourceError(
        fmt::format("rank {}, device {}: cannot pin {:.1f} MiB of host memory; end other programs "
                    "that pin memory, or raise the container's limit",
                    gpu.rank(), gpu.device(), double(bytes) / 1048576));
  }
  gpu.check(status, "cudaHostAlloc");
  memory_.reset(static_cast<std::byte*>(made));
  chunks_.reserve(size_t(options.chunks));
  for (int i = 0; i < options.chunks; ++i)
    chunks_.push_back({memory_.get() + size_t(i) * chunk_bytes_, Event(gpu)});
}

// Waits for the device, not for the events: a copy whose event could not be recorded may be in
// flight.
Staging::~Staging() { cudaDeviceSynchronize(); }

size_t Staging::piece_bytes(size_t piece, size_t bytes) const {
  return std::min(chunk_bytes_, bytes - piece * chunk_bytes_);
}

void Staging::upload(DeviceBytes to, std::span<const std::byte> from, const Stream& stream) {
  require_one_size("an upload", to.size(), from.size());
  for (size_t i = 0; i < pieces(from.size()); ++i) {
    const size_t offset = i * chunk_bytes_, bytes = piece_bytes(i, from.size());
    Chunk& c = chunk(next_++);
    if (c.copied.recorded()) c.copied.synchronise();
    std::memcpy(c.data, from.data() + offset, bytes);
    gpu_.check(cudaMemcpyAsync(to.part(offset, bytes).as<std::byte>(), c.data, bytes,
                               cudaMemcpyHostToDevice, stream),
               "cudaMemcpyAsync");
    c.copied.record(stream);
  }
}

void Staging::fetch(Chunk& c, DeviceBytes from, const Stream& stream) {
  if (c.copied.recorded()) c.copied.synchronise();
  gpu_.check(
      cudaMemcpyAsync(c.data, from.as<std::byte>(), from.size(), cudaMemcpyDeviceToHost, stream),
      "cudaMemcpyAsync");
  c.copied.record(stream);
}

// Keeps as many pieces in flight as there are chunks: piece i reuses the chunk of piece i − chunks.
void Staging::download(std::span<std::byte> to, DeviceBytes from, const Stream& stream) {
  require_one_size("a download", to.size(), from.size());
  const size_t count = pieces(to.size()), ahead = chunks_.size(), first = next_;
  next_ += count;
  for (size_t i = 0; i < count + ahead; ++i) {
    Chunk& c = chunk(first + i);
    if (i >= ahead && i - ahead < count) {
      const size_t piece = i - ahead;
      c.copied.synchronise();
      std::memcpy(to.data() + piece * chunk_bytes_, c.data, piece_bytes(piece, to.size()));
    }
    if (i < count) fetch(c, from.part(i * chunk_bytes_, piece_bytes(i, to.size())), stream);
  }
}

}  // namespace birkhoff::cuda
