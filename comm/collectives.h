#pragma once
// The Communicator over a Transport. Each rank of a run has one that spans all ranks; groups are
// made from it. Not for use outside comm/.
#include <vector>

#include "comm/communicator.h"
#include "comm/progress.h"

namespace birkhoff {

class Collectives final : public Communicator {
 public:
  // Spans all ranks. Large buffers are cut into chunks of `chunk_bytes`, the same on all ranks and
  // a multiple of 8; 0 chooses by the number of ranks.
  explicit Collectives(std::shared_ptr<Transport> transport, int64_t chunk_bytes = 0);

  int rank() const override { return rank_; }
  int size() const override { return int(ranks_.size()); }
  std::unique_ptr<Communicator> group(std::span<const int> ranks) override;
  void abort(const std::string& line) noexcept override;
  void watch(Beacon* beacon) override { progress_->watch(beacon); }
  Pending start(const CommCall& call) override;

 private:
  Collectives(const Collectives& parent, int id, std::span<const int> ranks);
  void check_lists(std::span<const int64_t> lists) const;
  int64_t& sequence_of(const CommCall& call);

  std::shared_ptr<Progress> progress_;
  int id_ = 0, rank_ = 0;
  std::vector<int> ranks_;  // world rank of each rank of the group
  int64_t chunk_bytes_ = 0;
  int64_t calls_ = 0;
  std::vector<int64_t> sent_, received_;  // numbers of messages, by rank
};

}  // namespace birkhoff
