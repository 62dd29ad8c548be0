#pragma once
// Internal to the planner: which turns touched which bytes last.
#include <map>

#include "engine/plan/turns.h"

namespace birkhoff {

// Turns are numbered from 1 on each device stream; 0: none.
class Touched {
 public:
  // Raises `needs` to the turns that must end before that access.
  void need(const Access& access, Counts& needs) const;
  // A write supersedes earlier accesses: anything that waits for it has waited for them.
  void add(const Access& access, Stream stream, int number);
  void forget(const Access& access);

 private:
  struct Segment {
    size_t end = 0;
    Counts written = {}, read = {};  // read: since the last write
  };
  using Begin = std::pair<int, size_t>;  // space, first byte
  void cut(int space, size_t at);

  std::map<Begin, Segment> segments_;  // do not overlap
};

}  // namespace birkhoff
