#include "base/system_error.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace birkhoff {

std::string system_reason(int error) {
  if (error == ELOOP) return "it is a symbolic link, which is not followed";
  return std::strerror(error == kNotSupportedByDriver ? ENOTSUP : error);
}

void throw_system_error(const char* verb, const Path& path) {
  const int error = errno;
  throw ResourceError(
      fmt::format("cannot {} {}: {}", verb, printable(path.string()), system_reason(error)));
}

}  // namespace birkhoff
