#pragma once
// A call in flight: one state machine for all collectives, over a Transport. Not for use outside
// comm/.
//
// Every pair of ranks exchanges signatures first; a rank receives a peer's data only after the
// peer's signature has matched. Data goes straight from buffer to buffer, in chunks, a few in
// flight. Reductions cut the data into a slice per rank: rank r gets slice r of all ranks, sums it
// in rank order chunk by chunk (so scratch is a few chunks per peer) and, for all_reduce, sends the
// sums to all.
#include <array>
#include <cstddef>
#include <vector>

#include "base/buffer.h"
#include "comm/signature.h"
#include "comm/transport.h"

namespace birkhoff {

class Progress;

class Operation final : public Pending::Work {
 public:
  // The group that makes a call, and the call's number.
  struct Place {
    int group = 0, rank = 0;     // the group's number; this rank within it
    std::span<const int> ranks;  // world rank of each rank of the group
    int64_t sequence = 0;
    int64_t chunk_bytes = 0;  // a multiple of every element's size
  };

  explicit Operation(Progress& progress) : progress_(progress) {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // Posts the signatures. REQUIRES a valid `call` (check_call) whose own part is already copied.
  void start(const CommCall& call, const Place& place);

  // Makes one pass over all open requests; true if any progressed. InternalError on a mismatch.
  bool advance();
  bool complete() const { return complete_; }
  void cut_off() noexcept;  // cancels open requests

  bool same_order(const Signature& s) const;                 // whether one sequence numbers both
  const Signature& signature() const { return signature_; }  // not specific to a peer
  int64_t bytes() const { return bytes_; }

  bool done() override;
  void wait() override;
  void release() noexcept override;

 private:
  static constexpr int64_t kWindow = 2;  // chunks in flight

  // Data in one direction between this rank and a peer.
  struct Stream {
    std::byte* data = nullptr;
    int64_t bytes = 0;
    bool ring = false;             // data holds kWindow chunks, reused in turn
    int64_t posted = 0, done = 0;  // chunks
    std::array<Transport::Request, kWindow> requests = {Transport::kNone, Transport::kNone};
  };
  struct Peer {
    int rank = 0, world_rank = 0;
    Signature says, expects, arrived;
    Transport::Request says_request = Transport::kNone, arrived_request = Transport::kNone;
    bool open = false;  // its signature has arrived and matches
    Stream give, take, give_sum, take_sum;
  };

  void add_peers(const CommCall& call, const Place& place);
  void sign(const CommCall& call, const Place& place);
  void plan_exchange(const CommCall& call, const Place& place);
  void plan_reduction(const CommCall& call, const Place& place);
  void post_signatures();
  bool advance_signatures(Peer& peer);
  bool advance_data(Peer& peer);
  bool move(Peer& peer, Stream& stream, bool out, Channel::Lane lane, int64_t limit);
  bool reduce_chunks();
  int64_t chunks(int64_t bytes) const { return (bytes + chunk_ - 1) / chunk_; }
  bool settled(const Peer& peer) const;

  Progress& progress_;
  Signature signature_;
  int64_t bytes_ = 0, chunk_ = 0;
  bool complete_ = true;
  std::vector<Peer> peers_;  // by rank

  // Reductions: this rank's slice.
  bool reduces_ = false;
  int own_place_ = 0;  // this rank within the group
  const std::byte* own_ = nullptr;
  std::byte* sums_ = nullptr;
  int64_t slice_bytes_ = 0, reduced_ = 0;  // reduced_: chunks summed
  Buffer scratch_;
  std::vector<const void*> inputs_;
};

}  // namespace birkhoff
