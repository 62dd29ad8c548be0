#pragma once
// Device memory: an allocation that a plan divides into slots, and a handle for a range of its
// bytes.
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/cuda/gpu.h"

namespace birkhoff::cuda {

// A range of device memory, not owned. The host cannot dereference it by mistake: only as() returns
// the address, for kernels. A part beyond the end, or a range that does not consist of whole,
// aligned T's, throws InternalError.
class DeviceBytes {
 public:
  DeviceBytes() = default;
  DeviceBytes(void* address, size_t bytes) : address_(address), bytes_(bytes) {}

  size_t size() const { return bytes_; }
  DeviceBytes part(size_t offset, size_t bytes) const;
  template <class T>
  T* as() const {
    require_elements(sizeof(T), alignof(T));
    return static_cast<T*>(address_);
  }

 private:
  void require_elements(size_t bytes, size_t alignment) const;

  void* address_ = nullptr;
  size_t bytes_ = 0;
};

// Alignment of each slot that the plan places. cudaMalloc aligns as much, so a slot is aligned if
// its offset is.
inline constexpr size_t kArenaAlignment = 256;

// Movable. Freed with the object, after the device has done all its work.
class Arena {
 public:
  // `what` names the memory in an error, e.g. "activations". Throws ResourceError (exit code 5)
  // with the bytes wanted, free and in total. The memory is not initialised.
  Arena(const Gpu& gpu, size_t bytes, const char* what);

  size_t size() const { return all_.size(); }
  // Throws InternalError if the range is not inside, or `offset` is not a multiple of
  // kArenaAlignment.
  DeviceBytes at(size_t offset, size_t bytes) const;

 private:
  struct Free {
    void operator()(void* p) const { cudaFree(p); }
  };
  std::unique_ptr<void, Free> memory_;
  DeviceBytes all_;
};

}  // namespace birkhoff::cuda
