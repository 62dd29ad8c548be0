#pragma once
// Who in a block knows what of whom: a clock a thread, and how far each thread has seen those of
// the others. Only barriers and sync_warp teach; a shuffle orders no memory.
#include <cstdint>
#include <vector>

namespace birkhoff::emulator {

class BlockClocks {
 public:
  void begin(unsigned threads);
  uint32_t now(unsigned thread) const { return now_[thread]; }
  // Whether `thread` has seen what `other` did at `clock`.
  bool knows(unsigned thread, unsigned other, uint32_t clock) const;
  void meet(unsigned warp, unsigned mask);
  void barrier();

 private:
  std::vector<uint32_t> now_;         // of each thread; rises when others learn of it
  std::vector<uint32_t> at_barrier_;  // what all threads have seen of each
  std::vector<uint32_t> in_warp_;     // [thread, lane]: what it has seen of its warp
};

}  // namespace birkhoff::emulator
