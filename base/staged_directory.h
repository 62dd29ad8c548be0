#pragma once
// A directory that is there whole or not at all: filled under the name `.NAME.partial` beside its
// own, then renamed. Errors are ResourceError (exit code 5). Not synchronised.
#include "base/directory.h"
#include "base/temporary.h"

namespace birkhoff {

class StagedDirectory {
 public:
  // Makes missing parents, durably, and the directory aside, which is locked and, unless it is
  // committed, removed with this object (base/temporary.h). What a killed process left aside is
  // removed first. Throws, having changed nothing else, if `path` exists, if another process holds
  // the lock, or if something is aside on a file system without locks.
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
