#pragma once
// Memory of the device: one allocation, cut by a plan. And what stands for bytes of it.
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/cuda/gpu.h"

namespace birkhoff::cuda {

// Bytes of the device. It has nothing that the host could read by mistake; an address comes out by
// as(), for a kernel. Not an owner. A part beyond the end, or an address that is not a T's, throws
// InternalError.
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

// Of what the plan gives to a slot: that of cudaMalloc, so that an offset decides alone.
inline constexpr size_t kArenaAlignment = 256;

// Movable. Freed with the object, when the device has done all that it was given.
class Arena {
 public:
  // `what` is named where the memory is not there: "activations". Throws ResourceError (exit code
  // 5) with what is wanted, free and there in all. Its bytes are not set.
  Arena(const Gpu& gpu, size_t bytes, const char* what);

  size_t size() const { return all_.size(); }
  // Throws InternalError if they are not inside, or do not begin at a multiple of kArenaAlignment.
  DeviceBytes at(size_t offset, size_t bytes) const;

 private:
  struct Free {
    void operator()(void* p) const { cudaFree(p); }
  };
  std::unique_ptr<void, Free> memory_;
  DeviceBytes all_;
};

}  // namespace birkhoff::cuda
