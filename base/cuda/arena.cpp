#include "base/cuda/arena.h"

#include "base/error.h"

namespace birkhoff::cuda {
namespace {

double gib(size_t bytes) { return double(bytes) / double(size_t{1} << 30); }

[[noreturn]] void throw_no_memory(const Gpu& gpu, size_t bytes, const char* what) {
  cudaGetLastError();  // clears the error, which is reported here
  size_t free = 0, total = 0;
  gpu.check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  throw ResourceError(
      fmt::format("rank {}, device {}: cannot allocate {:.2f} GiB for {}: {:.2f} of {:.2f} GiB are "
                  "free; set train.recompute, lower train.micro_batch, or end other programs on "
                  "the device (see nvidia-smi)",
                  gpu.rank(), gpu.device(), gib(bytes), what, gib(free), gib(total)));
}

}  // namespace

DeviceBytes DeviceBytes::part(size_t offset, size_t bytes) const {
  birkhoff::check(bytes <= bytes_ && offset <= bytes_ - bytes,
                  "device memory: {} bytes at byte {} do not lie within {} bytes", bytes, offset,
                  bytes_);
  return {static_cast<std::byte*>(address_) + offset, bytes};
}

void DeviceBytes::require_elements(size_t bytes, size_t alignment) const {
  birkhoff::check(bytes_ % bytes == 0 && reinterpret_cast<uintptr_t>(address_) % alignment == 0,
                  "device memory: {} bytes at {} do not hold aligned elements of {} bytes", bytes_,
                  address_, bytes);
}

Arena::Arena(const Gpu& gpu, size_t bytes, const char* what) {
  if (bytes == 0) return;
  void* made = nullptr;
  const cudaError_t status = cudaMalloc(&made, bytes);
  if (status == cudaErrorMemoryAllocation) throw_no_memory(gpu, bytes, what);
  gpu.check(status, "cudaMalloc");
  memory_.reset(made);
  all_ = {made, bytes};
}

DeviceBytes Arena::at(size_t offset, size_t bytes) const {
  birkhoff::check(offset % kArenaAlignment == 0, "arena: offset {} is not a multiple of {}", offset,
                  kArenaAlignment);
  return all_.part(offset, bytes);
}

}  // namespace birkhoff::cuda
