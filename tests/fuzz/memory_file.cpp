#include "tests/fuzz/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

namespace birkhoff::fuzz {

Path memory_file(std::string_view bytes) {
  static const Descriptor file(::memfd_create("fuzz", MFD_CLOEXEC));
  const bool whole = ::ftruncate(file.get(), 0) == 0 &&
                     ::pwrite(file.get(), bytes.data(), bytes.size(), 0) == ssize_t(bytes.size());
  check(whole, "no file of {} bytes in memory", bytes.size());
  return fmt::format("/proc/self/fd/{}", file.get());
}

}  // namespace birkhoff::fuzz
