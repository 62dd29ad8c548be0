#pragma once
// Processes that are the ranks of one job: starts them, and waits for them under a hard limit.
#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/support/scratch.h"

namespace birkhoff::testing {

class RankJob {
 public:
  RankJob();   // starts nothing; makes `counter` in path(), a shared page of zeros
  ~RankJob();  // kills what still runs

  // Starts the next rank with this argv. The stderr of all ranks is appended to one file.
  void start(const std::vector<std::string>& command);

  // Exit codes by rank; 128 + signal if killed. After `seconds` all are killed and the test fails.
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
