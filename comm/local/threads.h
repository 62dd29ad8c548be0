#pragma once
// The transport between threads of one process. All share one lock: it is for tests with few ranks.
#include <condition_variable>
#include <mutex>
#include <vector>

#include "comm/transport.h"

namespace birkhoff {

// The state that the ranks share. A message is copied once, when both sides have posted it. A send
// completes only when it has been received, so that no program relies on buffering. Thread-safe.
class ThreadExchange {
 public:
  explicit ThreadExchange(int size) : ranks_(size_t(size)) {}

  int size() const { return int(ranks_.size()); }
  int send(int from, int to, int channel, const void* data, size_t bytes);
  int receive(int to, int from, int channel, void* data, size_t bytes);
  bool test(int rank, int request);
  void cancel(int rank, int request);
  void pause(int rank);  // until a request of the rank completes, at most a few milliseconds

 private:
  struct Post {
    int from = 0, channel = 0, request = 0;
    std::byte* data = nullptr;
    size_t bytes = 0;
  };
  enum class State { free, open, complete };
  struct Rank {
    std::vector<State> requests;
    std::vector<int> free;
    std::vector<Post> sends, receives;  // to this rank, in order, not yet matched
    int64_t completed = 0, seen = 0;    // numbers of requests
    std::condition_variable changed;
  };

  int open(Rank& rank);
  void complete(int rank, int request);
  void copy(int to, const Post& sent, const Post& received);

  std::mutex lock_;
  std::vector<Rank> ranks_;
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(ThreadExchange& exchange, int rank, std::shared_ptr<AbortFlag> abort)
      : Transport(std::move(abort)), exchange_(exchange), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return exchange_.size(); }
  Request send(int to, Channel channel, const void* data, size_t bytes) override {
    return exchange_.send(rank_, to, channel.number(), data, bytes);
  }
  Request receive(int from, Channel channel, void* data, size_t bytes) override {
    return exchange_.receive(rank_, from, channel.number(), data, bytes);
  }
  bool test(Request request) override { return exchange_.test(rank_, request); }
  void cancel(Request request) noexcept override { exchange_.cancel(rank_, request); }
  void pause(int64_t idle) override {
    if (idle > 0) exchange_.pause(rank_);
  }
  void raise_everywhere(const std::string& line) noexcept override {
    abort().raise(ExitCode::peer, line);
  }
  void finish() override {}

 private:
  ThreadExchange& exchange_;
  int rank_;
};

}  // namespace birkhoff
