#include "comm/watch/frame.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace birkhoff {
namespace {

template <size_t kSize>
void put(char (&field)[kSize], const std::string& text) {
  std::memcpy(field, text.data(), std::min(text.size(), kSize - 1));
}

template <size_t kSize>
std::optional<std::string> text_of(const char (&field)[kSize]) {
  const size_t length = ::strnlen(field, kSize);
  if (length == kSize) return std::nullopt;
  return printable({field, length}, kSize);
}

bool is_activity(int64_t value) { return value >= 0 && value < kActivities; }

constexpr size_t kMaxQueue = size_t(1) << 20;
constexpr int kMaxReads = 16;  // of 4 KiB each, per receive()

}  // namespace

bool same(const Token& a, const Token& b) {
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= unsigned(a[i] ^ b[i]);
  return difference == 0;
}

PeerMessage message_of(int rank, const ProcessId& process) {
  PeerMessage m{.rank = rank, .pid = process.pid, .start = process.start};
  put(m.host, process.host), put(m.machine, process.machine);
  return m;
}

BeatMessage message_of(const Sign& s) {
  BeatMessage m{.step = s.step,
                .sequence = s.sequence,
                .bytes = s.bytes,
                .ticks = s.ticks,
                .activity = int32_t(s.activity),
                .waiting = s.waiting};
  put(m.operation, s.operation);
  return m;
}

FailureMessage message_of(const Failure& f) {
  FailureMessage m{.who = message_of(f.rank, f.process),
                   .step = f.step,
                   .activity = int32_t(f.activity),
                   .code = int32_t(f.code)};
  put(m.cause, f.cause);
  return m;
}

std::optional<PeerNote> read_peer(const PeerMessage& m, int ranks) {
  const auto host = text_of(m.host), machine = text_of(m.machine);
  if (m.rank < 0 || m.rank >= ranks || m.pid <= 0 || m.pid > INT32_MAX || !host || !machine)
    return std::nullopt;
  return PeerNote{m.rank, {.host = *host, .machine = *machine, .pid = m.pid, .start = m.start}};
}

std::optional<Sign> read_beat(const Frame& frame) {
  const auto m = frame.as<BeatMessage>();
  if (!m || !is_activity(m->activity) || (m->waiting & ~1)) return std::nullopt;
  const auto operation = text_of(m->operation);
  if (!operation) return std::nullopt;
  return Sign{.step = m->step,
              .activity = Activity(m->activity),
              .sequence = m->sequence,
              .operation = *operation,
              .bytes = m->bytes,
              .waiting = m->waiting == 1,
              .ticks = m->ticks};
}

std::optional<Failure> read_failure(const Frame& frame, int ranks) {
  const auto m = frame.as<FailureMessage>();
  if (!m || !is_activity(m->activity)) return std::nullopt;
  const bool is_code = (m->code >= int(ExitCode::config) && m->code <= int(ExitCode::internal)) ||
                       m->code == int(ExitCode::preempted);
  const auto who = read_peer(m->who, ranks);
  const auto cause = text_of(m->cause);
  if (!is_code || !who || !cause) return std::nullopt;
  return Failure{.rank = who->rank,
                 .process = who->process,
                 .step = m->step,
                 .activity = Activity(m->activity),
                 .cause = *cause,
                 .code = ExitCode(m->code)};
}

std::optional<CrashMessage> read_crash(const Frame& frame) {
  const auto m = frame.as<CrashMessage>();
  if (!m || !is_activity(m->activity) || m->signal < 1 || m->signal >= NSIG) return std::nullopt;
  return m;
}

Connection& Connection::operator=(Connection&& other) noexcept {
  close();
  fd_ = std::exchange(other.fd_, -1);
  in_ = std::move(other.in_), out_ = std::move(other.out_);
  return *this;
}

void Connection::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Connection::send(FrameType type, const char* payload, size_t bytes) {
  if (closed()) return;
  flush();
  if (!out_.empty() && (type == FrameType::beat || out_.size() > kMaxQueue)) return;
  const FrameHeader header{.bytes = uint16_t(bytes), .type = type};
  out_.append(reinterpret_cast<const char*>(&header), sizeof header);
  out_.append(payload, bytes);
  flush();
}

void Connection::flush() {
  while (!out_.empty()) {
    const ssize_t n = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // full or broken: receive() finds out
    out_.erase(0, size_t(n));
  }
}

std::vector<Frame> Connection::receive() {
  std::vector<Frame> frames;
  bool ended = closed();
  if (!ended) flush();
  // Bounded, so that a peer that never stops sending does not delay the others.
  for (int reads = 0; reads < kMaxReads && !ended; ++reads) {
    char bytes[4096];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    ended = n <= 0;
    if (n > 0) in_.append(bytes, size_t(n));
    FrameHeader header;
    size_t used = 0;
    for (; in_.size() - used >= sizeof header; used += sizeof header + header.bytes) {
      std::memcpy(&header, in_.data() + used, sizeof header);
      if (header.check != FrameHeader::kCheck || header.bytes > kMaxPayload ||
          header.type < FrameType::hello || header.type > FrameType::goodbye) {
        ended = true;
        break;
      }
      if (in_.size() - used - sizeof header < header.bytes) break;
      frames.push_back({header.type, in_.substr(used + sizeof header, header.bytes)});
    }
    in_.erase(0, used);
  }
  if (ended) close();
  return frames;
}

}  // namespace birkhoff
