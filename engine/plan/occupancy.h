#pragma once
// Internal to the planner: which bytes of an arena are taken, and when. A segment tree over time,
// so that planning stays near-linear in the number of slots: a step of L layers has O(L) slots of
// which O(L) are alive at once, and comparing each pair took 18 s at 256 layers.
#include <cstddef>
#include <vector>

namespace birkhoff {

struct Range {  // bytes [begin, end)
  size_t begin, end;
};

// A set of bytes as disjoint ranges in ascending order; ranges that touch are merged.
class Ranges {
 public:
  void add(Range range);
  const std::vector<Range>& all() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

class Occupancy {
 public:
  explicit Occupancy(int times);  // moments are 0 … times − 1

  // The bytes are taken from moment `born` to moment `dies`, both included.
  void add(int born, int dies, Range bytes);
  // Appends the bytes that are taken at any moment from `born` to `dies`; the appended ranges may
  // overlap and have no order.
  void collect(int born, int dies, std::vector<Range>& taken) const;

 private:
  // A node covers a span of time; its children are its halves. A rectangle of time and bytes is
  // kept as `covering` in the O(log times) largest nodes whose span it contains, and as `touching`
  // in every node on the way there.
  struct Node {
    Ranges covering;  // taken during all of the node's span
    Ranges touching;  // taken at some moment of it
  };
  void add(size_t node, int first, int last, int born, int dies, Range bytes);
  void collect(size_t node, int first, int last, int born, int dies,
               std::vector<Range>& taken) const;

  int times_;
  std::vector<Node> nodes_;
};

}  // namespace birkhoff
