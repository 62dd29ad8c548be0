#pragma once
// Page-aligned memory from the kernel, zero-initialised, freed with the object. Arenas are made of
// it. Not copyable; not synchronised.
#include <cstddef>
#include <span>
#include <utility>

namespace birkhoff {

class Buffer {
 public:
  Buffer() = default;
  // Throws ResourceError (exit code 5) with the size wanted when the system refuses.
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_), std::swap(size_, other.size_);
    return *this;
  }

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace birkhoff
