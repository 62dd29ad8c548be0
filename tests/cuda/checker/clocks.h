#pragma once
// Vector clocks of a cluster: each thread has a clock, and records how far it has seen every other
// thread's. Barriers, mbarriers and sync_warp pass this on; a shuffle orders no memory.
//
// A fence orders what its thread has seen before copies: its own, and those of any thread that has
// seen the fence.
//
// Threads are numbered through the cluster, block by block. Columns of mbarriers follow them: what
// lands before a phase of one ends is seen by threads that have waited for that phase.
#include <cstdint>
#include <vector>

#include "tests/cuda/emulator/mbarriers.h"

namespace birkhoff::emulator {

class Clocks {
 public:
  // The clock seen of each thread and mbarrier, followed by the clock up to which it is fenced.
  using Seen = std::vector<uint32_t>;

  void begin(unsigned threads);
  uint32_t now(unsigned thread) const { return now_[thread]; }
  // Whether `thread` has seen what `other` did at `clock`.
  bool knows(unsigned thread, unsigned other, uint32_t clock) const {
    return thread == other || seen_[thread * width_ + other] >= clock;
  }
  // Whether that is ordered before copies of `thread`, by a later fence that `thread` has seen.
  bool fenced(unsigned thread, unsigned other, uint32_t clock) const {
    return fences_ && seen_[thread * width_ + columns_ + other] >= clock;
  }
  void fence(unsigned thread);
  // Synchronises the threads of `mask`, whose bit 0 is thread `first`.
  void meet(unsigned first, uint32_t mask);
  // Synchronises all threads [first, end).
  void barrier(unsigned first, unsigned end);

  // release() adds what `thread` has seen and done to `to`; acquire() adds `from` to what `thread`
  // has seen.
  void release(unsigned thread, Seen& to);
  void acquire(unsigned thread, const Seen& from);
  static void add(Seen& to, const Seen& from);
  // The column of an mbarrier.
  unsigned column(unsigned mbarrier) const { return threads_ + mbarrier; }

 private:
  void join(Seen& to, unsigned thread) const;

  // The part of a row that is joined; the second half, about fences, only if there are any.
  unsigned joined() const { return fences_ ? width_ : columns_; }

  unsigned threads_ = 0, columns_ = 0, width_ = 0;
  bool fences_ = false;
  Seen now_;   // each thread's clock; it advances when others may have seen it, and after a fence
  Seen seen_;  // [thread, {seen, fenced}, column]
};

}  // namespace birkhoff::emulator
