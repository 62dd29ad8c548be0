#include "base/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace birkhoff {
namespace {

constexpr size_t kLarge = size_t{4} << 20;  // two huge pages of x86-64

}  // namespace

Buffer::Buffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    throw ResourceError(fmt::format("cannot allocate {:.1f} MiB of memory: {}",
                                    double(bytes) / 1048576, std::strerror(errno)));
  data_ = static_cast<std::byte*>(p);
  // Matrices are read down their columns, whose elements are a page or more apart: with 4 KiB pages
  // the address translations of one panel do not fit the TLB. This is only a hint; a refusal does
  // no harm.
  if (bytes >= kLarge) madvise(p, bytes, MADV_HUGEPAGE);
}

Buffer::~Buffer() {
  if (data_) munmap(data_, size_);
}

}  // namespace birkhoff
