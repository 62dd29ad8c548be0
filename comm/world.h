#pragma once
// All ranks of this run; a process holds its World from start to end. Uses MPI if a launcher has
// started the process (mpirun and the like set environment variables), else it is one rank.
//
//   World world;                                   // first thing of the process's main thread
//   train(config, world.ranks());
//   world.finish();                                // all ranks, and only after success
//
// Without finish() MPI is not finalised, since that would wait for ranks that may be gone. The
// process then ends with its exit code, and the launcher ends the remaining ranks.
#include <memory>
#include <string>
#include <vector>

#include "comm/abort.h"
#include "comm/communicator.h"

namespace birkhoff {

class Transport;

class World {
 public:
  // Throws ConfigError if a launcher started several ranks of a binary without MPI, and PeerError
  // if MPI does not start. Only one may exist in a process at a time.
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Communicator& ranks() { return *ranks_; }
  int rank() const { return ranks_->rank(); }
  int size() const { return ranks_->size(); }
  const std::vector<std::string>& hosts() const { return hosts_; }  // by rank
  int local_rank() const { return local_rank_; }                    // among the ranks of this host
  int local_size() const { return local_size_; }

  // A watchdog's thread may raise it, which ends every wait of this rank.
  const std::shared_ptr<AbortFlag>& abort_flag() const { return abort_; }

  // Waits for all ranks; throws if one of them has missed a call. Afterwards ranks() must not be
  // used.
  void finish();

 private:
  std::shared_ptr<AbortFlag> abort_;
  std::shared_ptr<Transport> transport_;  // null: one rank
  std::unique_ptr<Communicator> ranks_;
  std::vector<std::string> hosts_;
  int local_rank_ = 0, local_size_ = 1;
};

// Whether a launcher has started this process, judging by the environment.
bool launched();

}  // namespace birkhoff
