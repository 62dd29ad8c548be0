#include "base/box.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {
namespace {

// Distance in elements between neighbours in each dim of a box.
Shape strides(const Box& box) {
  Shape s(box.begin.size(), 1);
  for (size_t d = s.size(); d-- > 1;) s[d - 1] = s[d] * (box.end[d] - box.begin[d]);
  return s;
}

// One of the two slices. `at` is the flat index, within its box, of the first element that has the
// indices chosen so far.
struct Side {
  // The first index of dim d with elements at or after the start of the flat range.
  int64_t first(size_t d, int64_t at) const {
    return slice.box.begin[d] + std::max<int64_t>(0, slice.begin - at) / stride[d];
  }
  // The first index whose elements all lie after the flat range.
  int64_t end(size_t d, int64_t at) const {
    const int64_t left = std::max<int64_t>(0, slice.end - at);
    return slice.box.begin[d] + left / stride[d] + (left % stride[d] != 0);
  }
  int64_t place(size_t d, int64_t at, int64_t index) const {
    return at + (index - slice.box.begin[d]) * stride[d];
  }

  const Slice& slice;
  const Shape stride = strides(slice.box);
};

struct Walk {
  // Chooses an index of each dim before run_dim; from there on the common part is contiguous.
  void descend(size_t d, int64_t at_from, int64_t at_to) const {
    if (common.begin.empty()) return run(0, 0, 1);
    if (d == run_dim) {
      const int64_t length = (common.end[d] - common.begin[d]) * from.stride[d];
      return run(from.place(d, at_from, common.begin[d]), to.place(d, at_to, common.begin[d]),
                 length);
    }
    const int64_t first = std::max({common.begin[d], from.first(d, at_from), to.first(d, at_to)});
    const int64_t end = std::min({common.end[d], from.end(d, at_from), to.end(d, at_to)});
    for (int64_t i = first; i < end; ++i)
      descend(d + 1, from.place(d, at_from, i), to.place(d, at_to, i));
  }

  // Reports the part of a run that lies in both flat ranges.
  void run(int64_t at_from, int64_t at_to, int64_t length) const {
    const int64_t skip = std::max({int64_t(0), from.slice.begin - at_from, to.slice.begin - at_to});
    const int64_t end = std::min({length, from.slice.end - at_from, to.slice.end - at_to});
    if (skip < end)
      f({at_from + skip - from.slice.begin, at_to + skip - to.slice.begin, end - skip});
  }

  Side from, to;
  Box common;
  size_t run_dim;
  const std::function<void(const SharedRun&)>& f;
};

}  // namespace

Box whole_box(const Shape& shape) { return {Shape(shape.size(), 0), shape}; }

Shape extents(const Box& box) {
  Shape shape;
  for (size_t d = 0; d < box.begin.size(); ++d) shape.push_back(box.end[d] - box.begin[d]);
  return shape;
}

int64_t count(const Box& box) { return count(extents(box)); }

bool lies_in(const Box& box, const Shape& shape) {
  if (box.begin.size() != shape.size() || box.end.size() != shape.size()) return false;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (box.begin[d] < 0 || box.begin[d] >= box.end[d] || box.end[d] > shape[d]) return false;
  }
  return true;
}

Slice whole_slice(const Box& box) { return {box, 0, count(box)}; }
Slice whole_slice(const Shape& shape) { return whole_slice(whole_box(shape)); }
bool is_whole(const Slice& slice) { return slice.begin == 0 && slice.end == count(slice.box); }

bool lies_in(const Slice& slice, const Shape& shape) {
  return lies_in(slice.box, shape) && slice.begin >= 0 && slice.begin < slice.end &&
         slice.end <= count(slice.box);
}

std::string to_string(const Slice& slice) {
  std::string text;
  for (size_t d = 0; d < slice.box.begin.size(); ++d)
    text += fmt::format("{}{}:{}", d ? ", " : "", slice.box.begin[d], slice.box.end[d]);
  if (is_whole(slice)) return fmt::format("[{}]", text);
  return fmt::format("elements {} to {} of [{}]", slice.begin, slice.end, text);
}

void for_each_shared_run(const Slice& from, const Slice& to,
                         const std::function<void(const SharedRun&)>& f) {
  const Box &a = from.box, &b = to.box;
  check(a.begin.size() == b.begin.size(), "slices {} and {}", to_string(from), to_string(to));
  Box common;
  for (size_t d = 0; d < a.begin.size(); ++d) {
    common.begin.push_back(std::max(a.begin[d], b.begin[d]));
    common.end.push_back(std::min(a.end[d], b.end[d]));
    if (common.begin[d] >= common.end[d]) return;
  }
  // Inner dims in which both boxes have the same bounds belong to one run.
  size_t run_dim = a.begin.empty() ? 0 : a.begin.size() - 1;
  while (run_dim > 0 && a.begin[run_dim] == b.begin[run_dim] && a.end[run_dim] == b.end[run_dim])
    --run_dim;
  Walk{{from}, {to}, std::move(common), run_dim, f}.descend(0, 0, 0);
}

}  // namespace birkhoff
