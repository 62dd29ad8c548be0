#pragma once
// Inside the planner: who touched which bytes last.
#include <map>

#include "engine/plan/turns.h"

namespace birkhoff {

// Turns have numbers on their streams, from 1 in rising order; 0: none.
class Touched {
 public:
  // Raises `needs` to the turns that must be over before that access.
  void need(const Access& access, Counts& needs) const;
  // A write stands for all that was there before, since it waits for it.
  void add(const Access& access, Stream stream, int number);
  void forget(const Access& access);

 private:
  struct Segment {
    size_t end = 0;
    Counts written = {}, read = {};  // read since it was written
  };
  using Begin = std::pair<int, size_t>;  // space, first byte
  void cut(int space, size_t at);

  std::map<Begin, Segment> segments_;  // do not overlap
};

}  // namespace birkhoff
