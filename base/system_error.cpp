#include "base/system_error.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace birkhoff {

void throw_system_error(const char* verb, const Path& path) {
  const int error = errno;
  throw ResourceError(
      fmt::format("cannot {} {}: {}", verb, printable(path.string()),
                  error == ELOOP ? "links are not followed here" : std::strerror(error)));
}

}  // namespace birkhoff
