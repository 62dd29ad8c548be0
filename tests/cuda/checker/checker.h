#pragma once
// Finds, in every schedule:
// - races within a block, between blocks and between streams;
// - reads of memory that is uninitialised, or that a copy may still change;
// - accesses to global memory, or to another block's shared memory, by anything but load and store;
// - accesses to the shared memory of a block that may not have started, or may have returned.
// A finding is a fault of the launch. The checker also counts traffic.
//
// Every load and store of a kernel arrives here: the emulator reports those of the vocabulary, and
// the hooks that -fsanitize=thread compiles in report those of shared memory (hooks.cpp).
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "tests/cuda/checker/clocks.h"
#include "tests/cuda/checker/requests.h"
#include "tests/cuda/checker/shadow.h"
#include "tests/cuda/checker/sites.h"
#include "tests/cuda/emulator/mbarriers.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::emulator {

class Checker final : public Observer {
 public:
  void begin_kernel(const char* name, uint32_t operation) override;
  void begin_cluster(unsigned first, unsigned blocks, unsigned threads) override;
  void block_returns(unsigned rank) override;
  void end_cluster() override;
  void end_kernel() override;
  void access(const Access& access) override;
  void in_flight(const Access& copy, bool begins) override;
  void meet(unsigned rank, unsigned warp, unsigned mask) override {
    clocks_.meet(rank * threads_ + warp * cuda::kWarp, mask);
  }
  void barrier(unsigned rank) override { clocks_.barrier(rank * threads_, (rank + 1) * threads_); }
  void cluster_barrier() override { clocks_.barrier(0, blocks_ * threads_); }
  void arrive(unsigned mbarrier) override;
  void phase_ends(unsigned mbarrier, uint32_t phases) override;
  void acquire(unsigned mbarrier) override;
  void bulk_copy(const Access& copy, const void* address, unsigned mbarrier,
                 uint32_t phases) override;
  void fence() override;
  void transfer(uint32_t operation, const void* device, size_t bytes, bool write) override;
  void allocated(const void* device, size_t bytes) override { shadow_.allocated(device, bytes); }
  void freed(const void* device) override { shadow_.freed(device); }

  // A load or store that is not one of the vocabulary's.
  void plain_access(const Access& access);
  testing::Traffic traffic() const { return traffic_; }
  void reset_traffic() { traffic_ = {}; }

 private:
  Mark mark(const Site& site);
  bool in_cluster(const Mark& m) const { return m.block - first_block_ < blocks_; }
  bool of_copy(const Mark& m) const;
  bool ordered(const Mark& before, const Mark& now) const;
  void visit(const Access& access, const Mark& now);
  void read(Cell& cell, const Mark& now, const void* p);
  void write(Cell& cell, const Mark& now, const void* p);
  void require_fence(const Cell& cell, const Mark& now, const void* p);
  void count(const Access& access, uint32_t site);
  // Records a finding. other: the conflicting access, if any; how: how it conflicts.
  void find(const char* what, const void* p, const Mark& now, const Mark* other = nullptr,
            const char* how = "unordered");
  void report();
  std::string who(const Mark& mark) const;

  // Another block's access to a block's shared memory; the block must not return before it.
  struct Visit {
    Mark mark;
    const void* p;
  };

  // What a wait for an mbarrier makes visible: of the phases that have ended, and of the next.
  struct Released {
    Clocks::Seen ended, next;
  };

  Clocks clocks_;
  Released released_[Mbarriers::kMost];
  Shadow shadow_;
  Sites sites_;
  Requests requests_;
  testing::Traffic traffic_;
  const char* kernel_ = "";
  uint32_t operation_ = 0;
  unsigned first_block_ = 0, blocks_ = 0, threads_ = 0;  // of the cluster; threads per block
  // For each block, by thread, clock and site.
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, Visit> visits_[cuda::kMaxCluster];
  std::set<std::tuple<std::string, uint32_t, uint32_t>> found_;  // what, and the two sites
  std::string findings_;
};

Checker& checker();

}  // namespace birkhoff::emulator
