#include "engine/checkpoint/cover.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "tests/support/boxes.h"

namespace birkhoff::testing {
namespace {

std::vector<StoredPiece> stored(std::vector<Slice> slices) {
  std::sort(slices.begin(), slices.end(), slice_before);
  std::vector<StoredPiece> pieces;
  for (const Slice& slice : slices) pieces.push_back({.slice = slice, .file = {}, .hashes = {}});
  return pieces;
}

std::string fault(const Shape& shape, const std::vector<Slice>& slices) {
  return cover_fault(shape, stored(slices));
}

// How often each element is covered.
std::vector<int> times(const Shape& shape, const std::vector<Slice>& slices) {
  std::vector<int> n(size_t(count(shape)), 0);
  for (const Slice& slice : slices) {
    for (const int64_t place : elements_of(slice, shape)) ++n[size_t(place)];
  }
  return n;
}

bool once(const Shape& shape, const std::vector<Slice>& slices) {
  const std::vector<int> n = times(shape, slices);
  return std::all_of(n.begin(), n.end(), [](int c) { return c == 1; });
}

TEST(Cover, TilingsAreAccepted) {
  Dice dice(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const Shape shape = random_shape(dice, dice.below(5), 7);
    const std::vector<Slice> slices = random_tiling(dice, shape);
    ASSERT_TRUE(once(shape, slices));
    ASSERT_EQ(fault(shape, slices), "");
  }
}

// Boxes that no straight cut separates.
TEST(Cover, APinwheel) {
  std::vector<Slice> slices;
  for (const Box& box : {Box{{0, 0}, {1, 2}}, Box{{0, 2}, {2, 3}}, Box{{2, 1}, {3, 3}},
                         Box{{1, 0}, {3, 1}}, Box{{1, 1}, {2, 2}}})
    slices.push_back(whole_slice(box));
  EXPECT_EQ(fault({3, 3}, slices), "");
  slices.pop_back();
  EXPECT_EQ(fault({3, 3}, slices), "element [1,1] is in 0 pieces");
}

// Tilings with one fault, and arbitrary boxes: agrees with a count of each element.
TEST(Cover, AgreesWithCountingEachElement) {
  Dice dice(2);
  int refused = 0, accepted = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    const Shape shape = random_shape(dice, dice.from_to(1, 4), 4);
    std::vector<Slice> slices = random_tiling(dice, shape);
    const size_t at = size_t(dice.below(int64_t(slices.size())));
    switch (dice.below(5)) {
      case 0:
        slices.erase(slices.begin() + int64_t(at));
        break;
      case 1:
        slices.push_back(slices[at]);
        break;
      case 2:
        slices[at] = random_slice(dice, shape);
        break;
      case 3:
        slices.push_back(random_slice(dice, shape));
        break;
      default:
        slices.clear();
        for (int64_t i = dice.from_to(1, 5); i > 0; --i)
          slices.push_back(whole_slice(random_slice(dice, shape).box));
    }
    const bool good = once(shape, slices);
    const std::string says = fault(shape, slices);
    // Elements that are covered once, but by flat ranges that do not fill their own box, are
    // refused too.
    std::map<std::string, int64_t> by_box;
    bool boxes_full = true;
    for (const Slice& s : slices) by_box[to_string(whole_slice(s.box))] += s.count();
    for (const Slice& s : slices)
      boxes_full = boxes_full && by_box[to_string(whole_slice(s.box))] == count(s.box);
    ASSERT_EQ(says.empty(), good && boxes_full) << says;
    ++(good ? accepted : refused);
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(accepted, 100);
}

// The element that a refusal names is covered as often as it says.
TEST(Cover, NamesAnElement) {
  Dice dice(3);
  for (int trial = 0; trial < 1000; ++trial) {
    const Shape shape = random_shape(dice, 2, 6);
    std::vector<Slice> slices;
    for (int64_t i = dice.from_to(1, 6); i > 0; --i) {
      const Slice slice = whole_slice(random_slice(dice, shape).box);
      if (std::find(slices.begin(), slices.end(), slice) == slices.end()) slices.push_back(slice);
    }
    const std::string says = fault(shape, slices);
    if (says.empty()) continue;
    long row = 0, column = 0, n = 0;
    ASSERT_EQ(std::sscanf(says.c_str(), "element [%ld,%ld] is in %ld pieces", &row, &column, &n), 3)
        << says;
    ASSERT_EQ(times(shape, slices)[size_t(row * shape[1] + column)], n) << says;
  }
}

TEST(Cover, WithoutElements) {
  EXPECT_EQ(fault({3, 0}, {}), "");
  EXPECT_EQ(fault({3}, {}), "has no pieces");
  EXPECT_EQ(fault({}, {}), "has no pieces");
  EXPECT_EQ(fault({}, {whole_slice(Shape{})}), "");
  EXPECT_EQ(fault({3, 0}, {whole_slice(Shape{3, 0})}), "has pieces, but no elements");
}

// The most that the format allows, and sizes whose products are near the end of 64 bits.
TEST(Cover, LargeOnes) {
  const int64_t pieces = int64_t(kMaxPieces), side = int64_t(1) << 30;
  std::vector<Slice> slices;
  for (int64_t i = 0; i < pieces; ++i) {
    const int64_t row = i / 256, column = i % 256, step = side / 256;
    slices.push_back(
        whole_slice(Box{{row * step, column * step}, {(row + 1) * step, (column + 1) * step}}));
  }
  EXPECT_EQ(fault({side, side}, slices), "");
  slices[5000] = slices[5001];
  EXPECT_NE(fault({side, side}, slices), "");
}

TEST(Cover, CutInTooManyDims) {
  const Shape shape(kMaxCutDims + 1, 2);
  std::vector<Slice> slices = {whole_slice(shape)};
  for (size_t d = 0; d < shape.size(); ++d) {
    Slice half = slices.back(), other = half;
    half.box.end[d] = other.box.begin[d] = 1;
    slices.back() = whole_slice(half.box);
    slices.push_back(whole_slice(other.box));
  }
  EXPECT_EQ(fault(shape, slices), "is cut in 5 dims, more than 4");
}

}  // namespace
}  // namespace birkhoff::testing
