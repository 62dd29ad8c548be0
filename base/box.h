#pragma once
// Describes which part of a whole tensor some bytes hold: a box, or a slice, which is a flat range
// of a box (ranks that share a box divide it among them). Indices count elements; row-major.
// Thread-safe: no state.
#include <functional>
#include <string>

#include "base/shape.h"

namespace birkhoff {

// Elements with begin[d] ≤ index[d] < end[d]. The box of a scalar has no dims and one element.
struct Box {
  Shape begin = {}, end = {};
  bool operator==(const Box&) const = default;
};

Box whole_box(const Shape& shape);
Shape extents(const Box& box);
int64_t count(const Box& box);  // elements
// Whether both have the same number of dims, and in each 0 ≤ begin < end ≤ the shape's size. A box
// is never empty.
bool lies_in(const Box& box, const Shape& shape);

// Elements [begin, end) of the box, in row-major order.
struct Slice {
  Box box = {};
  int64_t begin = 0, end = 0;
  int64_t count() const { return end - begin; }
  bool operator==(const Slice&) const = default;
};

Slice whole_slice(const Box& box);
Slice whole_slice(const Shape& shape);
bool is_whole(const Slice& slice);  // all of its box
// Whether the box does, and 0 ≤ begin < end ≤ its count.
bool lies_in(const Slice& slice, const Shape& shape);

std::string to_string(const Slice& slice);  // "[0:4, 2:6]" or "elements 3 to 9 of [0:4, 2:6]"

// `count` elements that two slices of one tensor share and that are contiguous in both, starting at
// element `from` of the first slice and element `to` of the second.
struct SharedRun {
  int64_t from = 0, to = 0, count = 0;
};
// Calls `f` with the runs that together make up everything the slices share, ascending in both.
// Visits no other element. REQUIRES that both slices lie in the same shape.
void for_each_shared_run(const Slice& from, const Slice& to,
                         const std::function<void(const SharedRun&)>& f);

}  // namespace birkhoff
