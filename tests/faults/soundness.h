#pragma once
// Checks what must hold for a run's directory, whatever has happened to it (docs/reliability.md).
#include <map>
#include <set>
#include <string>

#include "base/files.h"

namespace birkhoff::testing {

// The tensors and hashes of each checkpoint of an undisturbed run, by step.
class Reference {
 public:
  // `run` must hold every checkpoint of the run (keep: all).
  explicit Reference(const Path& run);

  // Returns "", or what is wrong with `run`, given that the checkpoints `committed` were committed
  // and that the newest `keep` of all are kept. It is sound if
  //   - each directory step-… is whole, every byte of it as in the undisturbed run: none is torn;
  //   - a committed checkpoint is there, unless `keep` newer ones are;
  //   - the newest is found, and is no older than the newest committed one.
  std::string unsound(const Path& run, const std::set<int64_t>& committed, size_t keep) const;

 private:
  std::map<int64_t, std::string> manifests_;
};

}  // namespace birkhoff::testing
