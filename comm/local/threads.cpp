#include "comm/local/threads.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace birkhoff {
namespace {

// Limits a pause, since an abort raised from outside wakes no thread.
constexpr std::chrono::milliseconds kLongestPause(5);

}  // namespace

int ThreadExchange::open(Rank& rank) {
  if (rank.free.empty()) {
    rank.free.push_back(int(rank.requests.size()));
    rank.requests.push_back(State::free);
  }
  const int request = rank.free.back();
  rank.free.pop_back();
  rank.requests[size_t(request)] = State::open;
  return request;
}

void ThreadExchange::complete(int rank, int request) {
  Rank& owner = ranks_[size_t(rank)];
  owner.requests[size_t(request)] = State::complete;
  ++owner.completed;
  owner.changed.notify_one();
}

void ThreadExchange::copy(int to, const Post& sent, const Post& received) {
  check(sent.bytes == received.bytes,
        "a message of {} bytes from rank {} to rank {} does not match the {} bytes expected there",
        sent.bytes, sent.from, to, received.bytes);
  if (sent.bytes > 0) std::memcpy(received.data, sent.data, sent.bytes);
  complete(sent.from, sent.request);
  complete(to, received.request);
}

int ThreadExchange::send(int from, int to, int channel, const void* data, size_t bytes) {
  const std::lock_guard guard(lock_);
  const Post post = {from, channel, open(ranks_[size_t(from)]),
                     static_cast<std::byte*>(const_cast<void*>(data)), bytes};
  auto& waiting = ranks_[size_t(to)].receives;
  const auto match = std::find_if(waiting.begin(), waiting.end(), [&](const Post& other) {
    return other.from == from && other.channel == channel;
  });
  if (match == waiting.end()) {
    ranks_[size_t(to)].sends.push_back(post);
  } else {
    copy(to, post, *match);
    waiting.erase(match);
  }
  return post.request;
}

int ThreadExchange::receive(int to, int from, int channel, void* data, size_t bytes) {
  const std::lock_guard guard(lock_);
  Rank& own = ranks_[size_t(to)];
  const Post post = {from, channel, open(own), static_cast<std::byte*>(data), bytes};
  const auto match = std::find_if(own.sends.begin(), own.sends.end(), [&](const Post& other) {
    return other.from == from && other.channel == channel;
  });
  if (match == own.sends.end()) {
    own.receives.push_back(post);
  } else {
    copy(to, *match, post);
    own.sends.erase(match);
  }
  return post.request;
}

bool ThreadExchange::test(int rank, int request) {
  const std::lock_guard guard(lock_);
  Rank& own = ranks_[size_t(rank)];
  if (own.requests[size_t(request)] != State::complete) return false;
  own.requests[size_t(request)] = State::free;
  own.free.push_back(request);
  return true;
}

void ThreadExchange::cancel(int rank, int request) {
  const std::lock_guard guard(lock_);
  Rank& own = ranks_[size_t(rank)];
  std::erase_if(own.receives, [&](const Post& post) { return post.request == request; });
  for (Rank& other : ranks_)
    std::erase_if(other.sends,
                  [&](const Post& post) { return post.from == rank && post.request == request; });
  own.requests[size_t(request)] = State::free;
  own.free.push_back(request);
}

void ThreadExchange::pause(int rank) {
  std::unique_lock guard(lock_);
  Rank& own = ranks_[size_t(rank)];
  own.changed.wait_for(guard, kLongestPause, [&] { return own.completed != own.seen; });
  own.seen = own.completed;
}

}  // namespace birkhoff
