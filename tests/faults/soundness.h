#pragma once
// What must hold of a run's directory after anything that happened to it (docs/reliability.md).
#include <map>
#include <set>
#include <string>

#include "base/files.h"

namespace birkhoff::testing {

// Of each checkpoint of an undisturbed run its tensors and hashes, by step.
class Reference {
 public:
  // `run`: a directory that holds every checkpoint of the run (keep: all).
  explicit Reference(const Path& run);

  // Nothing, or what is wrong with `run`, where the checkpoints `committed` were committed and the
  // newest `keep` of all are kept:
  //   - each directory step-… is whole, every byte of it as in the undisturbed run: none is torn;
  //   - a committed one is there, unless `keep` newer ones are;
  //   - the newest is found, and is no older than the newest committed one.
  std::string unsound(const Path& run, const std::set<int64_t>& committed, size_t keep) const;

 private:
  std::map<int64_t, std::string> manifests_;
};

}  // namespace birkhoff::testing
