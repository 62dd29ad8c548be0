#include "base/file_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <iterator>

#include "base/error.h"
#include "base/log.h"
#include "base/system_error.h"

namespace birkhoff {

bool is_unsupported(int error) {
  constexpr int kErrors[] = {EINVAL, ENOSYS, ENOTSUP, kNotSupportedByDriver, EBADF, EACCES,
                             EPERM,  ENOTTY, EISDIR};
  return std::find(std::begin(kErrors), std::end(kErrors), error) != std::end(kErrors);
}

int try_flush_directory(const Path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

void warn_without(Guarantee guarantee, const Path& path, int error) {
  static std::atomic<bool> warned[3];
  if (warned[int(guarantee)].exchange(true)) return;
  const std::string place = printable(path.string()), reason = system_reason(error);
  switch (guarantee) {
    case Guarantee::durable_names:
      return log_warning(
          "the file system cannot flush the directory {} ({}): new files there may be lost in a "
          "power failure, but not if a process is killed",
          place, reason);
    case Guarantee::durable_files:
      return log_warning(
          "the file system cannot flush {} ({}): its contents may be lost in a power failure, but "
          "not if a process is killed",
          place, reason);
    case Guarantee::lock:
      return log_warning(
          "the file system cannot lock {} ({}): nothing prevents a second job in this directory, "
          "so start only one",
          place, reason);
  }
}

}  // namespace birkhoff
