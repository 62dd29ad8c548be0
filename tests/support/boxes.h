#pragma once
// Random boxes and tilings, and the elements of a slice, found by brute force.
#include <vector>

#include "base/box.h"
#include "base/rng.h"

namespace birkhoff::testing {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed, "dice") {}
  int64_t below(int64_t limit) { return int64_t(random_.below(draws_++, uint64_t(limit))); }
  int64_t from_to(int64_t first, int64_t last) { return first + below(last - first + 1); }
  bool one_in(int64_t n) { return below(n) == 0; }

 private:
  Random random_;
  uint64_t draws_ = 0;
};

// Flat indices, in the whole tensor, of a slice's elements, in order: an odometer over the box.
inline std::vector<int64_t> elements_of(const Slice& slice, const Shape& shape) {
  std::vector<int64_t> places;
  const Box& box = slice.box;
  Shape index = box.begin;
  for (int64_t i = 0; i < slice.end; ++i) {
    int64_t place = 0;
    for (size_t d = 0; d < shape.size(); ++d) place = place * shape[d] + index[d];
    if (i >= slice.begin) places.push_back(place);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < box.end[d]) break;
      index[d] = box.begin[d];
    }
  }
  return places;
}

inline Shape random_shape(Dice& dice, int64_t dims, int64_t extent) {
  Shape shape;
  for (int64_t d = 0; d < dims; ++d) shape.push_back(dice.from_to(1, extent));
  return shape;
}

inline Slice random_slice(Dice& dice, const Shape& shape) {
  Box box = whole_box(shape);
  for (size_t d = 0; d < shape.size(); ++d) {
    if (dice.one_in(2)) continue;
    box.begin[d] = dice.below(shape[d]);
    box.end[d] = dice.from_to(box.begin[d] + 1, shape[d]);
  }
  Slice slice = whole_slice(box);
  if (dice.one_in(2)) {
    slice.begin = dice.below(slice.end);
    slice.end = dice.from_to(slice.begin + 1, slice.end);
  }
  return slice;
}

// Cuts a box in two, and sometimes the parts again; then cuts parts into flat ranges.
inline void tile(Dice& dice, const Box& box, int depth, std::vector<Slice>& slices) {
  const size_t dims = box.begin.size();
  const size_t d = dims ? size_t(dice.below(int64_t(dims))) : 0;
  if (depth > 0 && dims && box.end[d] - box.begin[d] > 1 && !dice.one_in(4)) {
    Box low = box, high = box;
    low.end[d] = high.begin[d] = dice.from_to(box.begin[d] + 1, box.end[d] - 1);
    tile(dice, low, depth - 1, slices);
    tile(dice, high, depth - 1, slices);
    return;
  }
  const int64_t all = count(box);
  for (int64_t at = 0; at < all;) {
    const int64_t end = dice.one_in(2) ? all : dice.from_to(at + 1, all);
    slices.push_back({box, at, end});
    at = end;
  }
}

inline std::vector<Slice> random_tiling(Dice& dice, const Shape& shape) {
  std::vector<Slice> slices;
  tile(dice, whole_box(shape), int(dice.below(5)), slices);
  return slices;
}

}  // namespace birkhoff::testing
