#include "base/file_id.h"

#include <sys/stat.h>

namespace birkhoff {
namespace {

FileId id_of(const struct stat& s) { return {uint64_t(s.st_dev), uint64_t(s.st_ino)}; }

}  // namespace

std::optional<FileId> file_id(const Path& path) {
  struct stat s;
  if (::stat(path.c_str(), &s) != 0) return std::nullopt;
  return id_of(s);
}

std::vector<FileId> file_ids(std::span<const Path> paths) {
  std::vector<FileId> ids;
  for (const Path& path : paths) {
    struct stat s;
    if (path == "-" ? ::fstat(0, &s) == 0 : ::stat(path.c_str(), &s) == 0) ids.push_back(id_of(s));
  }
  return ids;
}

}  // namespace birkhoff
