#pragma once
// Rank 0's end of the side channel: accepts the ranks, hears their frames, judges, and sends the
// verdict to all. Internal to comm/watch.
#include "comm/watch/rendezvous.h"
#include "comm/watch/station.h"

namespace birkhoff {

class Hub final : public Station {
 public:
  explicit Hub(WatchdogOptions options);  // broadcasts the rendezvous
  ~Hub() override;

 protected:
  void listen_to(std::vector<pollfd>& set) const override;
  void serve() override;
  void beat() override;
  void tell(const Failure& failure) override;
  void drop_connections() override;
  bool others_left() override;

 private:
  struct Stranger {
    Connection connection;
    double since = 0;
  };
  void let_in();
  // Whether the frame is a hello of this job; if so, the connection becomes the rank's.
  bool welcome(const Frame& frame, Connection& connection);
  void introduce(int rank);
  void hear(int rank);
  void accuse(const Failure& failure);
  void judge();
  void part();

  Rendezvous rendezvous_;
  int listener_ = -1;
  std::vector<Stranger> strangers_;
  std::vector<Connection> ranks_;  // [0] stays closed
  Judge judge_;
  std::optional<Failure> symptom_;
  double symptom_at_ = 0;
  std::optional<double> parted_;  // when all ranks had said goodbye
};

}  // namespace birkhoff
