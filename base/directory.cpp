#include "base/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/error.h"
#include "base/file_system.h"
#include "base/system_error.h"

namespace birkhoff {
namespace {

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

Path parent_of(const Path& path) { return path.has_parent_path() ? path.parent_path() : Path("."); }

// `path` existed before, but the process that made it may have been killed before it flushed the
// name. A parent that may not be opened or cannot be flushed is ignored: we make no directories in
// it.
void flush_name(const Path& path) {
  const Path parent = parent_of(path);
  const int error = try_flush_directory(parent);
  if (error == 0 || error == EROFS || is_unsupported(error)) return;
  errno = error;
  throw_system_error("flush the directory", parent);
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(Descriptor descriptor, Path path)
    : descriptor_(std::move(descriptor)), path_(std::move(path)) {
  struct stat s;
  if (::fstat(descriptor_.get(), &s) != 0) throw_system_error("stat", path_);
  if (!S_ISREG(s.st_mode))
    throw ResourceError(fmt::format("{} is not a regular file", printable(path_.string())));
  size_ = size_t(s.st_size);
}

InputFile::InputFile(const Path& path)
    : InputFile(
          [&] {
            Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
            if (file.get() < 0) throw_system_error("open", path);
            return file;
          }(),
          path) {}

void InputFile::read(size_t offset, std::span<std::byte> out) const {
  size_t got = 0;
  while (got < out.size()) {
    const ssize_t n =
        ::pread(descriptor_.get(), out.data() + got, out.size() - got, off_t(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_system_error("read", path_);
    if (n == 0)
      throw CutShort(
          fmt::format("{} ends at byte {}, but bytes {} to {} are needed: the file was cut short",
                      printable(path_.string()), offset + got, offset, offset + out.size()));
    got += size_t(n);
  }
}

Directory::Directory(const Path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_.get() < 0) throw_system_error("open the directory", path);
}

InputFile Directory::open(const std::string& name) const {
  if (!is_plain_name(name))
    throw ResourceError(fmt::format("'{}' is not the name of a file in {}", printable(name),
                                    printable(path_.string())));
  // With O_NONBLOCK a FIFO is refused, not waited for.
  Descriptor file(
      ::openat(descriptor_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) throw_system_error("open", path_ / name);
  return InputFile(std::move(file), path_ / name);
}

std::vector<std::string> Directory::names() const {
  // Listing needs a descriptor of its own, since reading a directory moves its position.
  const int fd = ::openat(descriptor_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_system_error("open the directory", path_);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
  if (!stream) throw_system_error("list", path_);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (!entry) break;
    if (is_plain_name(entry->d_name)) names.emplace_back(entry->d_name);
  }
  if (errno != 0) throw_system_error("list", path_);
  std::sort(names.begin(), names.end());
  return names;
}

void make_durable_directories(const Path& path) {
  std::error_code ignored;
  if (!path.has_filename())  // "a/b/", "/" or empty
    return path.has_relative_path() ? make_durable_directories(path.parent_path()) : void();
  if (std::filesystem::is_directory(path, ignored)) return flush_name(path);
  make_durable_directories(path.parent_path());
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    throw_system_error("create the directory", path);
  if (!std::filesystem::is_directory(path, ignored))
    throw ResourceError(
        fmt::format("cannot create the directory {}: something else has that name (a file, or a "
                    "dangling link); move it away",
                    printable(path.string())));
  flush_directory(parent_of(path));
}

}  // namespace birkhoff
