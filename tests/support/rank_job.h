#pragma once
// Several processes that are the ranks of one job: started, waited for under a hard limit.
#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/support/scratch.h"

namespace birkhoff::testing {

class RankJob {
 public:
  RankJob();   // nothing runs yet; `path` has a shared page of zeros, `counter`
  ~RankJob();  // kills what is left

  // argv of the next rank. Its stderr is appended to one file for all.
  void start(const std::vector<std::string>& command);

  // Exit codes by rank, 128 + signal for a killed one. After `seconds` all are killed and the test
  // fails.
  std::vector<int> wait(int seconds = 60);

  const Path& path() const { return scratch_.path(); }
  pid_t pid(int rank) const { return pids_[size_t(rank)]; }
  std::string err() const { return slurp(path() / "err"); }

 private:
  Scratch scratch_;
  std::vector<pid_t> pids_;
  size_t waited_for_ = 0;
};

}  // namespace birkhoff::testing
