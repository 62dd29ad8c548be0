#pragma once
// The end of the side channel on every rank but 0: reports to rank 0 what this rank does, hears the
// verdict, and judges rank 0 when rank 0 is lost. Internal to comm/watch.
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
  Judge judge_;  // for rank 0 only
  std::optional<Failure> told_;
  double told_at_ = 0;
  bool said_goodbye_ = false, done_ = false;
};

}  // namespace birkhoff
