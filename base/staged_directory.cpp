#include "base/staged_directory.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "base/directory.h"
#include "base/system_error.h"

namespace birkhoff {
namespace {

Path without_slash(const Path& path) { return path.has_filename() ? path : path.parent_path(); }

Path parent_of(const Path& path) { return path.has_parent_path() ? path.parent_path() : Path("."); }

}  // namespace

StagedDirectory::StagedDirectory(const Path& path)
    : path_(without_slash(path)),
      aside_(parent_of(path_) / fmt::format(".{}.partial", path_.filename().string())) {
  if (!path_.has_filename() || path_.filename() == "." || path_.filename() == "..")
    throw ResourceError(
        fmt::format("'{}' is no name of a new directory", printable(path.string())));
  refuse_existing();
  make_durable_directories(parent_of(path_));
  if (::mkdir(aside_.c_str(), 0755) == 0) return;
  if (errno != EEXIST) throw_system_error("make directory", aside_);
  throw ResourceError(
      fmt::format("{} exists: another process is writing {}, or one was killed while it did; "
                  "remove it if there is none",
                  printable(aside_.string()), printable(path_.string())));
}

StagedDirectory::~StagedDirectory() {
  std::error_code ignored;
  if (!committed_) std::filesystem::remove_all(aside_, ignored);
}

void StagedDirectory::commit() {
  flush_directory(aside_);
  refuse_existing();  // an empty directory would be replaced
  if (::rename(aside_.c_str(), path_.c_str()) != 0) throw_system_error("rename to", path_);
  committed_ = true;
  flush_directory(parent_of(path_));
}

void StagedDirectory::refuse_existing() const {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(path_, error)))
    throw ResourceError(
        fmt::format("{} exists already and is never overwritten; name another directory",
                    printable(path_.string())));
}

}  // namespace birkhoff
