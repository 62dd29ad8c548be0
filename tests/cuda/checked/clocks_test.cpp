// Against sets: each thread knows a set of events, and a meeting makes the union of them.
#include "tests/cuda/checker/clocks.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/cuda/emulator/schedule.h"

namespace birkhoff::emulator {
namespace {

using Event = std::pair<unsigned, uint32_t>;  // of a thread, at its clock

class Sets {
 public:
  explicit Sets(unsigned threads) : known_(threads) {}
  void happens(unsigned thread, uint32_t clock) { known_[thread].insert({thread, clock}); }
  void meet(const std::vector<unsigned>& threads) {
    std::set<Event> all;
    for (const unsigned t : threads) all.insert(known_[t].begin(), known_[t].end());
    for (const unsigned t : threads) known_[t] = all;
  }
  bool knows(unsigned thread, const Event& event) const { return known_[thread].contains(event); }

 private:
  std::vector<std::set<Event>> known_;
};

TEST(BlockClocks, KnowWhatSetsOfEventsKnow) {
  constexpr unsigned kThreads = 70;  // two warps and a part of one
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Chance chance(seed);
    BlockClocks clocks;
    clocks.begin(kThreads);
    Sets sets(kThreads);
    std::vector<Event> events;
    for (int step = 0; step < 60; ++step) {
      for (int i = 0; i < 4; ++i) {
        const auto t = unsigned(chance.below(kThreads));
        events.emplace_back(t, clocks.now(t));
        sets.happens(t, clocks.now(t));
      }
      std::vector<unsigned> together;
      if (chance.below(8) == 0) {
        for (unsigned t = 0; t < kThreads; ++t) together.push_back(t);
        clocks.barrier();
      } else {
        const auto warp = unsigned(chance.below(3));
        unsigned mask = unsigned(chance.below(uint64_t{1} << 32)) | 1;
        if (warp == 2) mask = (mask & 0x3F);
        for (unsigned lane = 0; lane < 32; ++lane)
          if (mask >> lane & 1) together.push_back(warp * 32 + lane);
        clocks.meet(warp, mask);
      }
      sets.meet(together);
      for (const Event& e : events)
        for (unsigned t = 0; t < kThreads; ++t)
          ASSERT_EQ(clocks.knows(t, e.first, e.second), t == e.first || sets.knows(t, e))
              << "seed " << seed << ", step " << step << ", thread " << t << " of " << e.first;
    }
  }
}

}  // namespace
}  // namespace birkhoff::emulator
