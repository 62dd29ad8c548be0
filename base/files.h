#pragma once
// Files: whole reads bounded by a size, atomic writes, outputs that follow no link. Errors are
// ResourceError (exit code 5) that name the path and the system's reason, unless said otherwise.
// Thread-safe.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace birkhoff {

using Path = std::filesystem::path;

// REQUIRES a regular file of at most `limit` bytes; throws otherwise, before reading.
std::string read_file(const Path& path, size_t limit);

// Writes `path` atomically: the bytes go to a temporary name in the same directory (O_EXCL), which
// is flushed and renamed; then the directory is flushed.
void write_file(const Path& path, std::span<const std::byte> bytes);
void write_file(const Path& path, std::string_view text);

void make_directories(const Path& path);
// Makes `path` unless it is a directory already. A link to a directory is refused.
void make_own_directory(const Path& path);

// Makes the directory's names durable. Warns once per process, and returns, where the file system
// cannot flush a directory (file_system.h).
void flush_directory(const Path& path);

// Opens a file for writing without following a link and without waiting: a link, FIFO, device,
// socket or directory of that name is refused and left as it is. `flags` are those of open(2).
// Returns the descriptor, which the caller closes.
int open_output(const Path& path, int flags);

// Gives `path` an inode of its own if it is a regular file with several names, as in a copy made by
// `cp --link`: writing to it must not change the content of the other names.
void detach_hard_links(const Path& path);

// A file descriptor, closed with the object.
class File {
 public:
  File(const Path& path, int flags, int mode = 0644);  // open(2) with O_CLOEXEC; throws
  File(int descriptor, Path path) : path_(std::move(path)), fd_(descriptor) {}  // takes ownership
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write(std::span<const std::byte> bytes);  // all of it, retried on EINTR and short writes
  void flush();         // fsync; if the file system has none, warns once and returns
  size_t size() const;  // throws unless it is a regular file
  int descriptor() const { return fd_; }

 private:
  Path path_;
  int fd_ = -1;
};

}  // namespace birkhoff
