#pragma once
// All ranks of this run: what a process holds from its start to its end. Over MPI where a launcher
// has started the process (mpirun and its like leave their marks in the environment), else one
// rank.
//
//   World world;                                   // first thing of the process's main thread
//   train(config, world.ranks());
//   world.finish();                                // all ranks, and only after success
//
// Without finish() MPI is left as it stands: to end it properly would wait for ranks that may be
// gone. The process then leaves by its exit code, and the launcher ends what is left.
#include <memory>
#include <string>
#include <vector>

#include "comm/abort.h"
#include "comm/communicator.h"

namespace birkhoff {

class Transport;

class World {
 public:
  // ConfigError when a launcher started several ranks of a binary that has no MPI in it; PeerError
  // when MPI does not start. One at a time in a process.
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Communicator& ranks() { return *ranks_; }
  int rank() const { return ranks_->rank(); }
  int size() const { return ranks_->size(); }
  const std::vector<std::string>& hosts() const { return hosts_; }  // by rank
  int local_rank() const { return local_rank_; }                    // among those of this host
  int local_size() const { return local_size_; }

  // Raised by a watchdog's thread, it ends every wait of this rank.
  const std::shared_ptr<AbortFlag>& abort_flag() const { return abort_; }

  // Waits for all ranks; finds calls that one of them did not make. Then ranks() is of no use.
  void finish();

 private:
  std::shared_ptr<AbortFlag> abort_;
  std::shared_ptr<Transport> transport_;  // null: one rank
  std::unique_ptr<Communicator> ranks_;
  std::vector<std::string> hosts_;
  int local_rank_ = 0, local_size_ = 1;
};

// Whether a launcher has started this process, by the environment.
bool launched();

}  // namespace birkhoff
