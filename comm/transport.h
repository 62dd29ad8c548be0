#pragma once
// Moves bytes between ranks, below all collectives: messages from one rank to another, in order
// within a channel. Only pause() blocks. Not for use outside comm/.
//
// Ranks here are those of the whole run. All calls of a rank's transport come from its thread.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "comm/abort.h"

namespace birkhoff {

// Messages within a channel are received in the order they were sent; those of different channels
// may overtake each other. The lane says what a message carries: a signature (header), a
// contribution, a reduced result, or the data of send and receive. number() is below 2^20, well
// within the tags that MPI libraries are known to grant.
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

  // `bytes` is the same on both sides, at most 2^30. Memory must stay valid until test() or
  // cancel().
  virtual Request send(int to, Channel channel, const void* data, size_t bytes) = 0;
  virtual Request receive(int from, Channel channel, void* data, size_t bytes) = 0;

  // Whether the request is complete; if so, it no longer exists.
  virtual bool test(Request request) = 0;

  // Gives up an incomplete request, on the way to the end of the run.
  virtual void cancel(Request request) noexcept = 0;

  // Called after `idle` consecutive rounds of tests without progress. Waits for at most a few
  // milliseconds, and checks for another rank's abort.
  virtual void pause(int64_t idle) = 0;

  // Raises the flag here and on all other ranks.
  virtual void raise_everywhere(const std::string& line) noexcept = 0;

  // Ends the transport; called by all ranks, with no request open. Nothing else works after it.
  virtual void finish() = 0;

  AbortFlag& abort() const { return *abort_; }

 private:
  std::shared_ptr<AbortFlag> abort_;
};

}  // namespace birkhoff
