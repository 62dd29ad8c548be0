// Compares Clocks with sets: each thread knows a set of events; synchronising forms their union.
#include "tests/cuda/checker/clocks.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/cuda/emulator/schedule.h"

namespace birkhoff::emulator {
namespace {

using Event = std::pair<unsigned, uint32_t>;  // a thread and its clock

class Sets {
  static constexpr unsigned kFenced = 1000;  // added to an event's thread

 public:
  explicit Sets(unsigned threads) : known_(threads) {}
  void happens(unsigned thread, uint32_t clock) { known_[thread].insert({thread, clock}); }
  void meet(const std::vector<unsigned>& threads) {
    std::set<Event> all;
    for (const unsigned t : threads) all.insert(known_[t].begin(), known_[t].end());
    for (const unsigned t : threads) known_[t] = all;
  }
  void release(unsigned thread, std::set<Event>& to) const {
    to.insert(known_[thread].begin(), known_[thread].end());
  }
  void acquire(unsigned thread, const std::set<Event>& from) {
    known_[thread].insert(from.begin(), from.end());
  }
  // Everything that the thread knows is now fenced; whoever knows of the fence knows this.
  void fence(unsigned thread) {
    for (const Event& e : std::set<Event>(known_[thread]))
      if (e.first < kFenced) known_[thread].insert({e.first + kFenced, e.second});
  }
  bool fenced(unsigned thread, const Event& event) const {
    return knows(thread, {event.first + kFenced, event.second});
  }
  bool knows(unsigned thread, const Event& event) const { return known_[thread].contains(event); }

 private:
  std::vector<std::set<Event>> known_;
};

constexpr unsigned kThreads = 70, kBlocks = 2;  // per block, two warps and a partial one

std::vector<unsigned> range(unsigned begin, unsigned end) {
  std::vector<unsigned> all;
  for (unsigned t = begin; t < end; ++t) all.push_back(t);
  return all;
}

// Applies a random kind of synchronisation, or a fence, to both.
void meet_somehow(Chance& chance, Clocks& clocks, Sets& sets) {
  const auto first = unsigned(chance.below(kBlocks)) * kThreads;
  const uint64_t kind = chance.below(12);
  if (kind > 9) {
    const auto t = unsigned(chance.below(kBlocks * kThreads));
    sets.fence(t);
    clocks.fence(t);
  } else if (kind == 0) {
    sets.meet(range(0, kBlocks * kThreads));
    clocks.barrier(0, kBlocks * kThreads);
  } else if (kind == 1) {
    sets.meet(range(first, first + kThreads));
    clocks.barrier(first, first + kThreads);
  } else if (kind < 5) {  // an mbarrier: some arrive, then some wait
    Clocks::Seen seen;
    std::set<Event> events;
    for (int i = 0; i < 3; ++i) {
      const auto t = unsigned(chance.below(kBlocks * kThreads));
      sets.release(t, events);
      clocks.release(t, seen);
    }
    for (int i = 0; i < 5; ++i) {
      const auto t = unsigned(chance.below(kBlocks * kThreads));
      sets.acquire(t, events);
      clocks.acquire(t, seen);
    }
  } else {
    const auto warp = unsigned(chance.below(3)) * 32;
    uint32_t mask = uint32_t(chance.below(uint64_t{1} << 32)) | 1;
    if (warp == 64) mask &= 0x3F;
    std::vector<unsigned> together;
    for (unsigned lane = 0; lane < 32; ++lane)
      if (mask >> lane & 1) together.push_back(first + warp + lane);
    sets.meet(together);
    clocks.meet(first + warp, mask);
  }
}

TEST(Clocks, KnowWhatSetsOfEventsKnow) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Chance chance(seed);
    Clocks clocks;
    clocks.begin(kBlocks * kThreads);
    Sets sets(kBlocks * kThreads);
    std::vector<Event> events;
    for (int step = 0; step < 60; ++step) {
      for (int i = 0; i < 4; ++i) {
        const auto t = unsigned(chance.below(kBlocks * kThreads));
        events.emplace_back(t, clocks.now(t));
        sets.happens(t, clocks.now(t));
      }
      meet_somehow(chance, clocks, sets);
      for (const Event& e : events)
        for (unsigned t = 0; t < kBlocks * kThreads; ++t) {
          ASSERT_EQ(clocks.knows(t, e.first, e.second), t == e.first || sets.knows(t, e))
              << "seed " << seed << ", step " << step << ", thread " << t << " of " << e.first;
          ASSERT_EQ(clocks.fenced(t, e.first, e.second), sets.fenced(t, e))
              << "seed " << seed << ", step " << step << ", thread " << t << " of " << e.first;
        }
    }
  }
}

}  // namespace
}  // namespace birkhoff::emulator
