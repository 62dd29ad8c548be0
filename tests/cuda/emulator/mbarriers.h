#pragma once
// The running cluster's barriers in shared memory, and the bulk copies that complete on them (PTX
// ISA 9.0, "mbarrier"). The schedule decides when a copy lands: when it is issued, when no thread
// can continue, or at random at either of these or at a wait.
#include <map>
#include <string>
#include <vector>

#include "tests/cuda/emulator/observer.h"

namespace birkhoff::emulator {

struct BulkCopy {
  std::byte* to;
  const std::byte* from;
  unsigned bytes;
  const void* barrier;
  Where where;
};

class Mbarriers {
 public:
  static constexpr unsigned kMost = 128;  // per cluster

  void begin_cluster() { all_.clear(), flying_.clear(); }

  // Called by the running thread. An error ends the launch.
  void init(const void* b, unsigned arrivals, Where where);
  void arrive(const void* b, unsigned bytes, Where where);  // also expects `bytes`
  void arrive_at_peer(const void* b, Where where);          // the peer may be the block itself
  void wait(const cuda::emulated::MbarrierWait& what, Where where);
  void copy(const BulkCopy& copy);

  // Called when no thread can continue: lands a copy. Returns false if none is in flight.
  bool land();
  // What the mbarriers with waiting threads lack, for the message of a deadlock.
  std::string lacking() const;
  // Which copy has not landed, or an empty string.
  std::string under_way() const;

 private:
  struct Barrier {
    unsigned number;  // in the cluster
    unsigned expected, pending;
    int64_t bytes = 0;  // expected and not yet landed
    uint32_t phase = 0;
    std::vector<unsigned> waiting = {};
    // Whether peers have arrived, and whether a thread has used the wait that does not see peers.
    bool of_peers = false, waited_alone = false;
  };
  Barrier& at(const char* word, const void* b, Where where);
  Barrier& in_cluster(const char* word, const void* b, Where where);
  void come(Barrier& b, Where where);
  void require_scope(const Barrier& b, Where where) const;
  void end_phase_if_complete(Barrier& b);
  void land(size_t which);

  std::map<const void*, Barrier> all_;
  std::vector<BulkCopy> flying_;
};

Mbarriers& mbarriers();

}  // namespace birkhoff::emulator
