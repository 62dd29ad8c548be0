#pragma once
// A directory that is there whole or not at all: filled under the name `.NAME.partial` beside its
// own, then renamed. Errors are ResourceError (exit code 5). Not synchronised.
#include "base/files.h"

namespace birkhoff {

class StagedDirectory {
 public:
  // Makes missing parents, durably, and the directory aside. Throws, having changed nothing but
  // that, if `path` exists, or if something is aside already: another process is filling it, or
  // one was killed.
  explicit StagedDirectory(const Path& path);
  // Removes what was made aside, unless it was committed.
  ~StagedDirectory();
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const Path& aside() const { return aside_; }  // where to put files; the caller flushes each
  void commit();  // flushes the directory, renames, flushes its parent

 private:
  void refuse_existing() const;

  Path path_, aside_;
  bool committed_ = false;
};

}  // namespace birkhoff
