#include "base/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace birkhoff {

Buffer::Buffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    throw ResourceError(fmt::format("cannot get {:.1f} MiB of memory: {}", double(bytes) / 1048576,
                                    std::strerror(errno)));
  data_ = static_cast<std::byte*>(p);
}

Buffer::~Buffer() {
  if (data_) munmap(data_, size_);
}

}  // namespace birkhoff
