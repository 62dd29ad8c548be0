#pragma once
// Identifies the file that a path leads to: two paths to one file have the same id, whatever their
// links and spelling. Thread-safe: no state.
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/files.h"

namespace birkhoff {

struct FileId {
  uint64_t device = 0, inode = 0;
  auto operator<=>(const FileId&) const = default;
};

// Follows links. nullopt if no file is there or it cannot be reached.
std::optional<FileId> file_id(const Path& path);
// The ids of those paths that lead somewhere. "-" is the standard input.
std::vector<FileId> file_ids(std::span<const Path> paths);

}  // namespace birkhoff
