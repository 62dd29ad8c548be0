#pragma once
// The events that the emulator reports to the checker (tests/cuda/checker/), if one is linked.
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device/emulated/machine.h"

namespace birkhoff::emulator {

using cuda::emulated::Where;

// The instruction of an access: a source line of the kernel, or the return address of the hook that
// precedes a compiled load or store.
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
  // first: the number of its first block in the grid; the others follow. threads: per block.
  virtual void begin_cluster(unsigned first, unsigned blocks, unsigned threads) = 0;
  virtual void block_returns(unsigned rank) = 0;  // its last thread has returned
  virtual void end_cluster() = 0;
  virtual void end_kernel() = 0;

  // The running thread accesses global or shared memory.
  virtual void access(const Access& access) = 0;
  // From now on an asynchronous copy may change that shared memory (begins), or no longer may.
  virtual void in_flight(const Access& copy, bool begins) = 0;
  // sync_warp: the lanes of `mask` see each other's shared memory.
  virtual void meet(unsigned rank, unsigned warp, unsigned mask) = 0;
  virtual void barrier(unsigned rank) = 0;
  virtual void cluster_barrier() = 0;

  // Mbarriers are given by their numbers in the cluster. The running thread arrives; the phase with
  // number `phases`, from 1 on, ends; the running thread has waited for the last phase that ended.
  virtual void arrive(unsigned mbarrier) = 0;
  virtual void phase_ends(unsigned mbarrier, uint32_t phases) = 0;
  virtual void acquire(unsigned mbarrier) = 0;
  // The running thread issues a bulk copy to shared memory, in flight until that phase of the
  // mbarrier at `address` ends.
  virtual void bulk_copy(const Access& copy, const void* address, unsigned mbarrier,
                         uint32_t phases) = 0;
  virtual void fence() = 0;  // the running thread calls fence_async

  // The host's copies, fills and allocations.
  virtual void transfer(uint32_t operation, const void* device, size_t bytes, bool write) = 0;
  virtual void allocated(const void* device, size_t bytes) = 0;
  virtual void freed(const void* device) = 0;

 protected:
  ~Observer() = default;
};

// Null if no checker is linked. A checker registers itself before main.
Observer* observer();
void set_observer(Observer* observer);

}  // namespace birkhoff::emulator
