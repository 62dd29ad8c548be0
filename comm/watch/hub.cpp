#include "comm/watch/hub.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace birkhoff {
namespace {

constexpr double kHelloSeconds = 5;    // within which a stranger must say who it is
constexpr size_t kMaxStrangers = 256;  // at a time, besides the ranks; then the oldest is dropped
constexpr double kSymptomSeconds = 0.5;
constexpr double kPartSeconds = 2;  // for the goodbyes to arrive

// Makes room for a descriptor per rank and stranger; the usual soft limit is 1024.
void raise_descriptor_limit(int ranks) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, 2 * rlim_t(ranks) + 1024);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Hub::Hub(WatchdogOptions options)
    : Station(std::move(options)), ranks_(size_t(options_.size)), judge_(options_.size, 0) {
  if (options_.size == 1) return;
  raise_descriptor_limit(options_.size);
  rendezvous_ = listen_for_ranks(listener_);
  options_.broadcast(rendezvous_.text());
}

Hub::~Hub() {
  if (listener_ >= 0) ::close(listener_);
}

void Hub::listen_to(std::vector<pollfd>& set) const {
  const auto add = [&](int fd) {
    if (fd >= 0) set.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  };
  add(listener_);
  for (const Stranger& s : strangers_) add(s.connection.descriptor());
  for (const Connection& c : ranks_) add(c.descriptor());
}

void Hub::serve() {
  if (parted_) return part();
  let_in();
  for (int r = 1; r < options_.size && !concluded(); ++r) hear(r);
  if (concluded()) return;
  if (const auto own = take_report()) accuse(*own);
  judge_.heard(0, now(), sign_of(options_.beacon->snapshot()));
  if (finish_asked()) judge_.finished(0);
  if (!concluded()) judge();
  if (!concluded() && judge_.done()) part();
}

void Hub::let_in() {
  const size_t room = kMaxStrangers + peers_.size();
  for (size_t n = 0; listener_ >= 0 && n < room; ++n) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) break;
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (strangers_.size() == room) strangers_.erase(strangers_.begin());
    strangers_.push_back({Connection(fd), now()});
  }
  std::erase_if(strangers_, [&](Stranger& s) {
    const std::vector<Frame> frames = s.connection.receive();
    if (!frames.empty()) {
      // A rank waits for its welcome before it sends more.
      if (frames.size() == 1) welcome(frames[0], s.connection);
      return true;
    }
    return s.connection.closed() || now() - s.since > kHelloSeconds;
  });
  // Once all ranks are in, no other connection is expected.
  const bool all_in =
      std::all_of(peers_.begin(), peers_.end(), [](const ProcessId& p) { return p.pid > 0; });
  if (!all_in || listener_ < 0) return;
  ::close(listener_);
  listener_ = -1;
  strangers_.clear();
}

bool Hub::welcome(const Frame& frame, Connection& connection) {
  const auto hello = frame.as<HelloMessage>();
  if (frame.type != FrameType::hello || !hello || !same(hello->token, rendezvous_.token) ||
      hello->protocol != kProtocol)
    return false;
  const auto who = read_peer(hello->who, options_.size);
  if (!who || who->rank == 0 || peers_[size_t(who->rank)].pid > 0 || connection.closed())
    return false;
  Connection& rank = ranks_[size_t(who->rank)];
  rank = std::move(connection);
  peers_[size_t(who->rank)] = who->process;
  rank.send(FrameType::welcome, WelcomeMessage{rendezvous_.reply});
  crash_.tell(who->rank, rank.descriptor());
  introduce(who->rank);
  return true;
}

// Ranks of one machine learn each other's process, since one may have to kill another. All learn
// rank 0's.
void Hub::introduce(int rank) {
  const ProcessId& process = peers_[size_t(rank)];
  for (int r = 0; r < options_.size; ++r) {
    const ProcessId& other = peers_[size_t(r)];
    if (r == rank || other.pid == 0 || (r != 0 && other.machine != process.machine)) continue;
    ranks_[size_t(rank)].send(FrameType::peer, message_of(r, other));
    if (r != 0) ranks_[size_t(r)].send(FrameType::peer, message_of(rank, process));
  }
}

void Hub::hear(int rank) {
  Connection& connection = ranks_[size_t(rank)];
  if (connection.closed()) return;
  for (const Frame& frame : connection.receive()) {
    if (frame.type == FrameType::beat) {
      if (const auto sign = read_beat(frame)) judge_.heard(rank, now(), *sign);
    } else if (frame.type == FrameType::goodbye) {
      judge_.finished(rank);
    } else if (frame.type == FrameType::failure) {
      auto failure = read_failure(frame, options_.size);
      if (!failure || failure->rank != rank) continue;
      failure->process = peers_[size_t(rank)];
      accuse(*failure);
    } else if (frame.type == FrameType::crash) {
      if (const auto crash = read_crash(frame))
        conclude(failure_of(*crash, rank, peers_[size_t(rank)]), true);
    }
  }
  if (!connection.closed()) return;
  crash_.tell(rank, -1);
  judge_.lost(rank);
}

// A failure with code 6 is only the symptom that a peer is gone. The peer's own report may still
// arrive, so the symptom is believed if nothing better has come for half a second.
void Hub::accuse(const Failure& failure) {
  if (failure.code != ExitCode::peer) return conclude(failure, true);
  if (symptom_) return;
  symptom_ = failure;
  symptom_at_ = now();
}

void Hub::judge() {
  if (const auto judgement = judge_.judge(now(), timeout())) {
    const Failure f = failure_of(*judgement, judge_, peers_[size_t(judgement->rank)], timeout());
    std::vector<std::string> details;
    for (int r = 0; f.code == ExitCode::hang && r < options_.size; ++r)
      details.push_back(fmt::format("rank {} {}", r, judge_.last_collective(r, now())));
    conclude(f, true, details);
  } else if (symptom_ && now() - symptom_at_ >= kSymptomSeconds) {
    conclude(*symptom_, true);
  }
}

// No rank leaves before all are done, so that all notice a rank that ends too early.
void Hub::part() {
  if (!parted_) {
    for (int r = 1; r < options_.size; ++r) {
      crash_.tell(r, -1);
      ranks_[size_t(r)].send(FrameType::goodbye);
    }
    parted_ = now();
  }
  if (others_left() || now() - *parted_ > kPartSeconds) complete();
}

void Hub::beat() {
  if (parted_) return;
  const BeatMessage message = message_of(sign_of(options_.beacon->snapshot()));
  for (Connection& c : ranks_) c.send(FrameType::beat, message);
}

void Hub::tell(const Failure& failure) {
  const FailureMessage message = message_of(failure);
  for (Connection& c : ranks_) c.send(FrameType::verdict, message);
}

void Hub::drop_connections() {
  for (int r = 1; r < options_.size; ++r) crash_.tell(r, -1), ranks_[size_t(r)].close();
}

// The others close when they have heard the verdict; if this process ended before, it might be
// lost.
bool Hub::others_left() {
  bool left = true;
  for (Connection& c : ranks_) {
    c.receive();
    left = left && c.closed();
  }
  return left;
}

}  // namespace birkhoff
