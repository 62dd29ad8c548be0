#pragma once
// Messages of the side channel. A frame has a type and a payload of at most kMaxPayload bytes, the
// memory of one of the structs below (all ranks run the same binary). Received frames are checked
// field by field before they are believed. Pure, except for Connection.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "comm/watch/failure.h"

namespace birkhoff {

enum class FrameType : uint8_t { hello = 1, welcome, peer, beat, failure, crash, verdict, goodbye };
constexpr size_t kMaxPayload = 2048;
constexpr uint32_t kProtocol = 1;

struct FrameHeader {
  uint16_t bytes = 0;  // of the payload
  FrameType type = FrameType::hello;
  uint8_t check = kCheck;
  static constexpr uint8_t kCheck = 0xB7;
};

using Token = std::array<uint8_t, 16>;
// Takes constant time, so that the time reveals nothing of where they differ.
bool same(const Token& a, const Token& b);

struct PeerMessage {
  int32_t rank = 0;
  int32_t reserved = 0;
  int64_t pid = 0;
  uint64_t start = 0;
  char host[64] = {};
  char machine[96] = {};
};
struct HelloMessage {
  Token token = {};
  uint32_t protocol = kProtocol;
  uint32_t reserved = 0;
  PeerMessage who;
};
struct WelcomeMessage {
  Token token = {};
};
struct BeatMessage {
  int64_t step = 0, sequence = 0, bytes = 0;
  uint64_t ticks = 0;
  int32_t activity = 0;
  int32_t waiting = 0;
  char operation[24] = {};
};
struct FailureMessage {  // for the types failure and verdict
  PeerMessage who;
  int64_t step = 0;
  int32_t activity = 0;
  int32_t code = 0;
  char cause[1024] = {};
};
// CrashMessage is in comm/watch/failure.h.

PeerMessage message_of(int rank, const ProcessId& process);
BeatMessage message_of(const Sign& sign);
FailureMessage message_of(const Failure& failure);

struct Frame {
  FrameType type = FrameType::goodbye;
  std::string payload;

  // nullopt if the payload has another size.
  template <class Message>
  std::optional<Message> as() const {
    if (payload.size() != sizeof(Message)) return std::nullopt;
    Message m;
    std::copy(payload.begin(), payload.end(), reinterpret_cast<char*>(&m));
    return m;
  }
};

// The content of a frame, or nullopt if it cannot be true: texts must end within their fields and
// are made printable, activities, codes and signals must exist, and ranks must be below `ranks`.
struct PeerNote {
  int rank = 0;
  ProcessId process;
};
std::optional<PeerNote> read_peer(const PeerMessage& message, int ranks);
std::optional<Sign> read_beat(const Frame& frame);
std::optional<Failure> read_failure(const Frame& frame, int ranks);
std::optional<CrashMessage> read_crash(const Frame& frame);

// One end of a TCP connection. Owns its descriptor, which does not block. Not thread-safe.
class Connection {
 public:
  Connection() = default;
  explicit Connection(int fd) : fd_(fd) {}
  ~Connection() { close(); }
  Connection(Connection&& other) noexcept { *this = std::move(other); }
  Connection& operator=(Connection&& other) noexcept;

  int descriptor() const { return fd_; }  // −1: closed
  void close();

  // Queues the frame if the peer does not read; beats are dropped then, since they are soon
  // outdated.
  template <class Message>
  void send(FrameType type, const Message& message) {
    send(type, reinterpret_cast<const char*>(&message), sizeof message);
  }
  void send(FrameType type, const char* payload = nullptr, size_t bytes = 0);

  // Returns the frames that have arrived; closed() turns true only after all of them. An invalid
  // frame closes the connection.
  std::vector<Frame> receive();
  bool closed() const { return fd_ < 0; }

 private:
  void flush();

  int fd_ = -1;
  std::string in_, out_;
};

}  // namespace birkhoff
