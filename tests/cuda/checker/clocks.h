#pragma once
// Who in a cluster knows what of whom: a clock a thread, and how far each thread has seen those of
// the others. Only barriers and sync_warp teach; a shuffle orders no memory.
//
// Threads are numbered through the cluster, block by block. Behind them come mbarriers: what lands
// before a phase of one ends is known to who has waited for that phase.
#include <cstdint>
#include <vector>

#include "tests/cuda/emulator/mbarriers.h"

namespace birkhoff::emulator {

class Clocks {
 public:
  using Seen = std::vector<uint32_t>;  // of each thread and mbarrier

  void begin(unsigned threads);
  uint32_t now(unsigned thread) const { return now_[thread]; }
  // Whether `thread` has seen what `other` did at `clock`.
  bool knows(unsigned thread, unsigned other, uint32_t clock) const {
    return thread == other || seen_[thread * columns_ + other] >= clock;
  }
  // The threads of `mask`, counted from `first` on, meet.
  void meet(unsigned first, uint32_t mask);
  // All threads [first, end) do.
  void barrier(unsigned first, unsigned end);

  // What `thread` has seen and done is added to `to`; and what `from` has, to it.
  void release(unsigned thread, Seen& to);
  void acquire(unsigned thread, const Seen& from);
  static void add(Seen& to, const Seen& from);
  // The column of an mbarrier.
  unsigned column(unsigned mbarrier) const { return threads_ + mbarrier; }

 private:
  void join(Seen& to, unsigned thread) const;

  unsigned threads_ = 0, columns_ = 0;
  Seen now_;   // of each thread; rises when others learn of it
  Seen seen_;  // [thread, column]
};

}  // namespace birkhoff::emulator
