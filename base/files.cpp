#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/system_error.h"
#include "base/temporary.h"

namespace birkhoff {
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
  if (::fsync(fd_) != 0) throw_system_error("flush", path_);
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
    throw ResourceError(
        fmt::format("cannot make directory {}: {}", printable(path.string()), error.message()));
}

void flush_directory(const Path& path) { File(path, O_RDONLY | O_DIRECTORY).flush(); }

MappedFile::MappedFile(const Path& path) {
  const File file(path, O_RDONLY | O_NONBLOCK);
  size_ = file.size();
  if (size_ == 0) return;
  void* p = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (p == MAP_FAILED) throw_system_error("map", path);
  data_ = static_cast<const std::byte*>(p);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_), std::swap(size_, other.size_);
  return *this;
}

}  // namespace birkhoff
