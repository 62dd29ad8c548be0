#pragma once
// The end of the side channel of every rank but 0: tells rank 0 what it does, hears the verdict,
// and judges rank 0 when rank 0 is lost. Internal.
#include "comm/watch/station.h"

namespace birkhoff {

class Spoke final : public Station {
 public:
  explicit Spoke(WatchdogOptions options);  // receives the rendezvous, connects

 protected:
  void listen_to(std::vector<pollfd>& set) const override;
  void serve() override;
  void beat() override;
  void drop_connections() override;

 private:
  void hear(const Frame& frame);
  void lost(const Failure& failure);
  void speak();

  Connection connection_;
  Judge judge_;  // of rank 0
  std::optional<Failure> told_;
  double told_at_ = 0;
  bool said_goodbye_ = false, done_ = false;
};

}  // namespace birkhoff
