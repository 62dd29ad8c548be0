#pragma once
// Files: whole reads bounded by a size, atomic writes, read-only maps. Errors are ResourceError
// (exit code 5) that name the path and the system's reason, unless said otherwise. Thread-safe.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace birkhoff {

using Path = std::filesystem::path;

// REQUIRES a regular file of at most `limit` bytes; throws otherwise, before reading.
std::string read_file(const Path& path, size_t limit);

// The file's bytes are in `path` whole or not at all: written to a temporary name in the same
// directory (O_EXCL), flushed, renamed; then the directory is flushed.
void write_file(const Path& path, std::span<const std::byte> bytes);
void write_file(const Path& path, std::string_view text);

void make_directories(const Path& path);
void flush_directory(const Path& path);

// A read-only map of a whole regular file. A file that is cut while it is mapped makes touching
// what was behind its new end a SIGBUS: InputFile (directory.h) is for files that others may write
// to.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A file descriptor, closed with the object.
class File {
 public:
  File(const Path& path, int flags, int mode = 0644);  // open(2) with O_CLOEXEC; throws
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write(std::span<const std::byte> bytes);  // all of it, retried on EINTR and short writes
  void flush();                                  // fsync
  size_t size() const;                           // throws unless it is a regular file
  int descriptor() const { return fd_; }

 private:
  Path path_;
  int fd_ = -1;
};

}  // namespace birkhoff
