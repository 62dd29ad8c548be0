#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file_system.h"
#include "base/system_error.h"
#include "base/temporary.h"

namespace birkhoff {
namespace {

[[noreturn]] void refuse_kind(const char* verb, const Path& path, mode_t mode) {
  const char* kind = S_ISLNK(mode)    ? "a symbolic link, which is not followed"
                     : S_ISFIFO(mode) ? "a FIFO"
                     : S_ISDIR(mode)  ? "a directory"
                     : S_ISSOCK(mode) ? "a socket"
                     : S_ISREG(mode)  ? "a file"
                                      : "a device";
  throw ResourceError(
      fmt::format("cannot {} {}: it is {}; move it away", verb, printable(path.string()), kind));
}

}  // namespace

File::File(const Path& path, int flags, int mode) : path_(path) {
  fd_ = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd_ < 0) throw_system_error("open", path);
}

File::~File() { ::close(fd_); }

void File::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_system_error("write", path_);
    bytes = bytes.subspan(size_t(n));
  }
}

void File::flush() {
  if (::fsync(fd_) == 0) return;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) throw_system_error("flush", path_);
  warn_without(Guarantee::durable_files, path_, errno);
}

size_t File::size() const {
  struct stat s;
  if (::fstat(fd_, &s) != 0) throw_system_error("stat", path_);
  if (!S_ISREG(s.st_mode))
    throw ResourceError(fmt::format("{} is not a regular file", printable(path_.string())));
  return size_t(s.st_size);
}

std::string read_file(const Path& path, size_t limit) {
  const File file(path, O_RDONLY | O_NONBLOCK);  // so that a FIFO is refused, not waited for
  const size_t size = file.size();
  if (size > limit)
    throw ResourceError(fmt::format("{} has {} bytes, more than the {} allowed here",
                                    printable(path.string()), size, limit));
  std::string text(size, '\0');
  size_t got = 0;
  while (got < size) {
    const ssize_t n = ::read(file.descriptor(), text.data() + got, size - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_system_error("read", path);
    if (n == 0) break;
    got += size_t(n);
  }
  text.resize(got);
  return text;
}

void write_file(const Path& path, std::span<const std::byte> bytes) {
  Temporary aside(temporary_path(path));
  ::unlink(aside.path().c_str());
  {
    File file(aside.path(), O_WRONLY | O_CREAT | O_EXCL);
    file.write(bytes);
    file.flush();
  }
  if (::rename(aside.path().c_str(), path.c_str()) != 0) throw_system_error("rename to", path);
  aside.release();
  flush_directory(path.has_parent_path() ? path.parent_path() : Path("."));
}

void write_file(const Path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text)));
}

void make_directories(const Path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    throw ResourceError(fmt::format("cannot create the directory {}: {}", printable(path.string()),
                                    error.message()));
}

void make_own_directory(const Path& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return;
  const int error = errno;
  struct stat s;
  if (error == EEXIST && ::lstat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode)) return;
  if (error == EEXIST) refuse_kind("create the directory", path, s.st_mode);
  errno = error;
  throw_system_error("create the directory", path);
}

void flush_directory(const Path& path) {
  const int error = try_flush_directory(path);
  if (error == 0) return;
  if (is_unsupported(error)) return warn_without(Guarantee::durable_names, path, error);
  errno = error;
  throw_system_error("flush the directory", path);
}

int open_output(const Path& path, int flags) {
  struct stat s;
  // Checked before it is opened, since opening a device or a FIFO may already have an effect.
  if (::lstat(path.c_str(), &s) == 0 && !S_ISREG(s.st_mode)) refuse_kind("write", path, s.st_mode);
  const int fd = ::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
  if (fd < 0) throw_system_error("open", path);
  if (::fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) return fd;
  ::close(fd);
  refuse_kind("write", path, s.st_mode);
}

void detach_hard_links(const Path& path) {
  struct stat s;
  if (::lstat(path.c_str(), &s) != 0 || !S_ISREG(s.st_mode) || s.st_nlink < 2) return;
  write_file(path, read_file(path, size_t(s.st_size)));
}

}  // namespace birkhoff
