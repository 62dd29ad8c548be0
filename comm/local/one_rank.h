#pragma once
// The communicator of a run that is one rank: collectives copy, and there is nobody to send to.
#include "comm/communicator.h"

namespace birkhoff {

class OneRank final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

  void barrier() override {}
  void broadcast(Elements x, int root) override;
  void all_reduce(Elements x, Reduction reduction) override;
  void all_gather(ConstElements x, Elements out) override;
  void reduce_scatter(ConstElements x, Elements out, Reduction reduction) override;
  void all_to_all(ConstElements x, std::span<const int64_t> send_counts, Elements out,
                  std::span<const int64_t> receive_counts) override;
  void send(ConstElements x, int to) override;
  void receive(Elements x, int from) override;
};

}  // namespace birkhoff
