#pragma once
// What moves bytes between ranks, below all collectives: messages from one rank to another, in
// order within a channel. Nothing blocks but pause(). Not for use outside comm/.
//
// The ranks here are those of the whole run. All calls of a rank's transport come from its thread.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "comm/abort.h"

namespace birkhoff {

// Messages of a channel are received in the order they were sent; channels pass each other.
// A number below 2^20: the tags that MPI libraries are known to grant, with room to spare.
struct Channel {
  static constexpr int kGroups = 1024, kSequences = 256;
  enum Lane { header, contribution, result, message };

  int group = 0;
  Lane lane = header;
  int64_t sequence = 0;  // taken modulo kSequences

  int number() const { return (group * 4 + int(lane)) * kSequences + int(sequence % kSequences); }
};

class Transport {
 public:
  using Request = int;
  static constexpr Request kNone = -1;

  explicit Transport(std::shared_ptr<AbortFlag> abort) : abort_(std::move(abort)) {}
  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // `bytes` is the same on both sides, at most 2^30; memory stays valid until test() or cancel().
  virtual Request send(int to, Channel channel, const void* data, size_t bytes) = 0;
  virtual Request receive(int from, Channel channel, void* data, size_t bytes) = 0;

  // Whether it is complete; then the request is gone.
  virtual bool test(Request request) = 0;

  // Gives up a request that is not complete, on the way to the end of the run.
  virtual void cancel(Request request) noexcept = 0;

  // After `idle` rounds of tests in a row that found nothing: lets time pass, at most some
  // milliseconds, and looks for the abort of another rank.
  virtual void pause(int64_t idle) = 0;

  // Raises the flag here and on all other ranks.
  virtual void raise_everywhere(const std::string& line) noexcept = 0;

  // All ranks, with no request open: the end. Nothing else works after it.
  virtual void finish() = 0;

  AbortFlag& abort() const { return *abort_; }

 private:
  std::shared_ptr<AbortFlag> abort_;
};

}  // namespace birkhoff
