#pragma once
// Barriers in shared memory and the bulk copies that end at them (PTX ISA 9.0, "mbarrier"), of the
// cluster that runs. When a copy lands is the schedule's: as it is issued; when nothing else can
// go on; or at either, or at somebody's wait.
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
  static constexpr unsigned kMost = 128;  // of a cluster

  void begin_cluster() { all_.clear(), flying_.clear(); }

  // By the running thread. What is wrong ends the launch.
  void init(const void* b, unsigned arrivals, Where where);
  void arrive(const void* b, unsigned bytes, Where where);  // and expects so many bytes
  void arrive_at_peer(const void* b, Where where);          // which may be the block itself
  void wait(const cuda::emulated::MbarrierWait& what, Where where);
  void copy(const BulkCopy& copy);

  // Lands a copy, since no thread can go on. Whether there was one.
  bool land();
  // What those that somebody waits for lack, for a deadlock's message.
  std::string lacking() const;
  // Empty, or which copy has not landed.
  std::string under_way() const;

 private:
  struct Barrier {
    unsigned number;  // in the cluster
    unsigned expected, pending;
    int64_t bytes = 0;  // that have been expected and have not come
    uint32_t phase = 0;
    std::vector<unsigned> waiting = {};
    // Peers have arrived; somebody has waited who does not see what they did.
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
