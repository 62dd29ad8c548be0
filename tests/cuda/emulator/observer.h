#pragma once
// What the machine tells the checker (tests/cuda/checker/), where one is linked.
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device/emulated/machine.h"

namespace birkhoff::emulator {

using cuda::emulated::Where;

// The instruction of an access: a line of the kernel, or the address behind a compiled load or
// store.
struct Site {
  const void* pc = nullptr;
  Where where = {};
};

struct Access {
  const void* address;
  size_t bytes;
  bool write;
  Site site;
};

class Observer {
 public:
  virtual void begin_kernel(const char* name, uint32_t operation) = 0;
  // first: the number of its first block in the grid; the others follow. threads: of each.
  virtual void begin_cluster(unsigned first, unsigned blocks, unsigned threads) = 0;
  virtual void block_returns(unsigned rank) = 0;  // its last thread
  virtual void end_cluster() = 0;
  virtual void end_kernel() = 0;

  // By the running thread; in global or shared memory.
  virtual void access(const Access& access) = 0;
  // What lies in shared memory may be changed by a copy from now on, or is no longer.
  virtual void in_flight(const Access& copy, bool begins) = 0;
  // The lanes of `mask` see each other's shared memory.
  virtual void meet(unsigned rank, unsigned warp, unsigned mask) = 0;
  virtual void barrier(unsigned rank) = 0;
  virtual void cluster_barrier() = 0;

  // Of mbarriers, by their numbers in the cluster: the running thread arrives; a phase ends, the
  // `phases`-th; the running thread has seen the last one that ended.
  virtual void arrive(unsigned mbarrier) = 0;
  virtual void phase_ends(unsigned mbarrier, uint32_t phases) = 0;
  virtual void acquire(unsigned mbarrier) = 0;
  // By the running thread, to shared memory; in flight until that phase of the mbarrier ends, which
  // is at that address.
  virtual void bulk_copy(const Access& copy, const void* address, unsigned mbarrier,
                         uint32_t phases) = 0;
  virtual void fence() = 0;  // before the running thread's copies, or those of who knows of it

  // By the host's copies and fills.
  virtual void transfer(uint32_t operation, const void* device, size_t bytes, bool write) = 0;
  virtual void allocated(const void* device, size_t bytes) = 0;
  virtual void freed(const void* device) = 0;

 protected:
  ~Observer() = default;
};

// Null without a checker. It registers itself before main.
Observer* observer();
void set_observer(Observer* observer);

}  // namespace birkhoff::emulator
