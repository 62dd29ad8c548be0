#pragma once
// Who in a cluster knows what of whom: a clock a thread, and how far each thread has seen those of
// the others. Only barriers and sync_warp teach; a shuffle orders no memory.
//
// A fence passes on what its thread knows to copies, those of whoever knows of the fence as well.
//
// Threads are numbered through the cluster, block by block. Behind them come mbarriers: what lands
// before a phase of one ends is known to who has waited for that phase.
#include <cstdint>
#include <vector>

#include "tests/cuda/emulator/mbarriers.h"

namespace birkhoff::emulator {

class Clocks {
 public:
  using Seen = std::vector<uint32_t>;  // of each thread and mbarrier; then what is fenced of it

  void begin(unsigned threads);
  uint32_t now(unsigned thread) const { return now_[thread]; }
  // Whether `thread` has seen what `other` did at `clock`.
  bool knows(unsigned thread, unsigned other, uint32_t clock) const {
    return thread == other || seen_[thread * width_ + other] >= clock;
  }
  // Whether it is before what `thread` copies, by a fence behind it that `thread` knows of.
  bool fenced(unsigned thread, unsigned other, uint32_t clock) const {
    return fences_ && seen_[thread * width_ + columns_ + other] >= clock;
  }
  void fence(unsigned thread);
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

  // What is joined of a row: the second half, what is fenced, only where there are fences.
  unsigned joined() const { return fences_ ? width_ : columns_; }

  unsigned threads_ = 0, columns_ = 0, width_ = 0;
  bool fences_ = false;
  Seen now_;   // of each thread; rises when others learn of it, and behind a fence
  Seen seen_;  // [thread, {seen, fenced}, column]
};

}  // namespace birkhoff::emulator
