#pragma once
// A directory that appears complete or not at all: it is filled as `.NAME.partial` in the same
// parent and then renamed. Errors are ResourceError (exit code 5). Not synchronised.
#include "base/directory.h"
#include "base/temporary.h"

namespace birkhoff {

class StagedDirectory {
 public:
  // Makes missing parents, durably, and the directory aside(), which is locked and, unless
  // committed, removed with this object (base/temporary.h). Content left there by a killed process
  // is removed first. Throws, having changed nothing but the parents, if `path` exists, if another
  // process holds the lock, or if aside() exists on a file system without locks.
  explicit StagedDirectory(const Path& path);
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const Path& aside() const { return aside_; }  // where to put files; the caller flushes each
  void commit();  // flushes the directory, renames, flushes its parent

 private:
  void refuse_existing() const;
  void make_aside();

  Path path_, aside_;
  Descriptor lock_;
  std::optional<Temporary> temporary_;
};

}  // namespace birkhoff
