#pragma once
// The communicator of a run with one rank: collectives only copy, and no rank exists to send to.
#include "comm/communicator.h"

namespace birkhoff {

class OneRank final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Communicator> group(std::span<const int> ranks) override;
  void abort(const std::string&) noexcept override {}
  void watch(Beacon*) override {}  // it never waits
  Pending start(const CommCall& call) override;
};

}  // namespace birkhoff
