#include "comm/watch/spoke.h"

#include "comm/watch/rendezvous.h"

namespace birkhoff {
namespace {

constexpr double kAnswerSeconds = 2;  // for rank 0 to answer a reported failure

}  // namespace

Spoke::Spoke(WatchdogOptions options) : Station(std::move(options)), judge_(1, 0) {
  const Rendezvous rendezvous = Rendezvous::parse(options_.broadcast(""));
  connection_ = connect_to_rank_0(rendezvous, options_.rank, self_);
  crash_.tell(0, connection_.descriptor());
}

void Spoke::listen_to(std::vector<pollfd>& set) const {
  if (!connection_.closed())
    set.push_back({.fd = connection_.descriptor(), .events = POLLIN, .revents = 0});
}

void Spoke::serve() {
  if (done_) return;
  for (const Frame& frame : connection_.receive()) hear(frame);
  if (concluded()) return;
  if (done_) {
    drop_connections();
    return complete();
  }
  if (connection_.closed()) {
    crash_.tell(0, -1);
    judge_.lost(0);
  }
  if (const auto judgement = judge_.absent(now(), timeout()))
    return lost(failure_of(*judgement, judge_, peers_[0], timeout()));
  speak();
}

void Spoke::hear(const Frame& frame) {
  if (frame.type == FrameType::beat) {
    if (const auto sign = read_beat(frame)) judge_.heard(0, now(), *sign);
  } else if (frame.type == FrameType::peer) {
    const auto message = frame.as<PeerMessage>();
    const auto peer = message ? read_peer(*message, options_.size) : std::nullopt;
    if (peer && peer->rank != options_.rank) peers_[size_t(peer->rank)] = peer->process;
  } else if (frame.type == FrameType::verdict) {
    if (const auto failure = read_failure(frame, options_.size)) conclude(*failure, false);
  } else if (frame.type == FrameType::crash) {
    if (const auto crash = read_crash(frame)) lost(failure_of(*crash, 0, peers_[0]));
  } else if (frame.type == FrameType::goodbye) {
    done_ = said_goodbye_;
  }
}

// Rank 0 can tell no other rank, so the lowest living rank prints. A lower rank on another machine
// counts as living, since this rank cannot look there.
void Spoke::lost(const Failure& failure) {
  lost_rank_0_ = true;
  bool prints = lowest_here(1);
  for (int r = 1; r < options_.rank; ++r)
    prints = prints && peers_[size_t(r)].pid > 0;  // a known pid: on this machine
  std::vector<std::string> details;
  if (failure.code == ExitCode::hang)
    details.push_back(fmt::format("rank 0 {}", judge_.last_collective(0, now())));
  conclude(failure, prints, details);
}

void Spoke::speak() {
  if (auto own = take_report()) {
    connection_.send(FrameType::failure, message_of(*own));
    told_ = std::move(own);
    told_at_ = now();
  }
  if (told_ && now() - told_at_ >= kAnswerSeconds) return conclude(*told_, true);
  if (finish_asked() && !said_goodbye_) {
    beat();  // the other ranks are compared with its last collective
    connection_.send(FrameType::goodbye);
    said_goodbye_ = true;
  }
}

void Spoke::beat() {
  connection_.send(FrameType::beat, message_of(sign_of(options_.beacon->snapshot())));
}

void Spoke::drop_connections() {
  crash_.tell(0, -1);
  connection_.close();
}

}  // namespace birkhoff
