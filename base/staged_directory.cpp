#include "base/staged_directory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "base/system_error.h"

namespace birkhoff {
namespace {

Path without_slash(const Path& path) { return path.has_filename() ? path : path.parent_path(); }

Path parent_of(const Path& path) { return path.has_parent_path() ? path.parent_path() : Path("."); }

bool leads_to(const Path& path, int descriptor) {
  struct stat a, b;
  return ::fstat(descriptor, &a) == 0 && ::lstat(path.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

}  // namespace

StagedDirectory::StagedDirectory(const Path& path)
    : path_(without_slash(path)),
      aside_(parent_of(path_) / fmt::format(".{}.partial", path_.filename().string())) {
  if (!path_.has_filename() || path_.filename() == "." || path_.filename() == "..")
    throw ResourceError(
        fmt::format("'{}' is not a valid name for a new directory", printable(path.string())));
  refuse_existing();
  make_durable_directories(parent_of(path_));
  make_aside();
}

// The lock shows that somebody is writing: a killed process holds none. Whoever gets it may empty
// the directory and reuse it.
void StagedDirectory::make_aside() {
  const DelaySignals whole;
  const bool is_new = ::mkdir(aside_.c_str(), 0755) == 0;
  if (!is_new && errno != EEXIST) throw_system_error("create the directory", aside_);
  if (is_new) temporary_.emplace(aside_);
  lock_ = Descriptor(::open(aside_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (is_new && lock_.get() < 0) throw_system_error("open the directory", aside_);
  const FileLock lock = lock_.get() < 0 ? FileLock::unsupported : lock_file(lock_.get());
  if (is_new && lock == FileLock::unsupported) return;
  // Another process may have locked, filled and renamed it since it was made or opened here.
  if (lock != FileLock::held || !leads_to(aside_, lock_.get())) {
    if (is_new) temporary_->release();
    throw ResourceError(
        fmt::format("{} exists: another process is writing {}, or one was killed while writing it; "
                    "if no such process runs, remove it",
                    printable(aside_.string()), printable(path_.string())));
  }
  if (is_new) return;
  temporary_.emplace(aside_);
  for (const auto& entry : std::filesystem::directory_iterator(aside_))
    std::filesystem::remove_all(entry.path());
}

void StagedDirectory::commit() {
  flush_directory(aside_);
  refuse_existing();  // an empty directory would be replaced
  if (::rename(aside_.c_str(), path_.c_str()) != 0) throw_system_error("rename to", path_);
  temporary_->release();
  flush_directory(parent_of(path_));
}

void StagedDirectory::refuse_existing() const {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(path_, error)))
    throw ResourceError(
        fmt::format("{} already exists and is never overwritten; choose another directory",
                    printable(path_.string())));
}

}  // namespace birkhoff
