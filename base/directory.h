#pragma once
// Reads files beneath a directory that others may have written. Files are opened by a plain name
// within an open directory, links are not followed, and bytes are read by offset into the caller's
// memory, so that a file truncated meanwhile is an error, never a SIGBUS. Errors are ResourceError
// (exit code 5) that name the path. Thread-safe for const use.
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace birkhoff {

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Thrown if a file ends before the requested bytes: it was truncated after it was opened.
class CutShort : public ResourceError {
 public:
  using ResourceError::ResourceError;
};

class InputFile {
 public:
  // Both throw unless it is a regular file. The path comes from the user, so its links are
  // followed.
  InputFile(Descriptor descriptor, Path path);
  explicit InputFile(const Path& path);

  const Path& path() const { return path_; }
  size_t size() const { return size_; }  // in bytes, when it was opened
  // Fills `out` with the bytes from `offset` on; throws CutShort if the file ends before.
  void read(size_t offset, std::span<std::byte> out) const;

 private:
  Descriptor descriptor_;
  Path path_;
  size_t size_ = 0;
};

class Directory {
 public:
  explicit Directory(const Path& path);

  const Path& path() const { return path_; }
  // Opens a regular file of this directory. Throws if `name` is not a plain name, or if the file is
  // missing or a link.
  InputFile open(const std::string& name) const;
  std::vector<std::string> names() const;  // sorted, without "." and ".."

 private:
  Path path_;
  Descriptor descriptor_;
};

// Makes `path` and its missing parents and flushes each new name to its parent directory. The name
// of the deepest directory that already existed is flushed too.
void make_durable_directories(const Path& path);

}  // namespace birkhoff
