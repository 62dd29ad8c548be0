#include "base/box.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/boxes.h"

namespace birkhoff::testing {
namespace {

TEST(Box, WhatLiesInAShape) {
  EXPECT_TRUE(lies_in(whole_slice(Shape{2, 3}), {2, 3}));
  EXPECT_TRUE(lies_in(whole_slice(Shape{}), {}));
  EXPECT_EQ(whole_slice(Shape{}).count(), 1);
  EXPECT_TRUE(lies_in(Slice{{{1, 0}, {2, 2}}, 1, 2}, {2, 3}));
  for (const Slice& bad :
       {Slice{{{0}, {2}}, 0, 2}, Slice{{{0, 0}, {2, 4}}, 0, 8}, Slice{{{1, 0}, {1, 3}}, 0, 0},
        Slice{{{-1, 0}, {1, 3}}, 0, 3}, Slice{{{0, 0}, {2, 3}}, 2, 2},
        Slice{{{0, 0}, {2, 3}}, -1, 2}, Slice{{{0, 0}, {2, 3}}, 0, 7}, Slice{{{0, 0}, {2}}, 0, 2}})
    EXPECT_FALSE(lies_in(bad, {2, 3}));
  EXPECT_FALSE(lies_in(whole_slice(Shape{0, 3}), {0, 3}));
}

TEST(Box, Text) {
  EXPECT_EQ(to_string(whole_slice(Box{{0, 2}, {4, 6}})), "[0:4, 2:6]");
  EXPECT_EQ(to_string(Slice{{{0, 2}, {4, 6}}, 3, 9}), "elements 3 to 9 of [0:4, 2:6]");
  EXPECT_EQ(to_string(whole_slice(Shape{})), "[]");
}

// Every pair of identical elements is in exactly one run, and no other pair is.
TEST(Box, RunsAreWhatSlicesShare) {
  Dice dice(1);
  for (int trial = 0; trial < 5000; ++trial) {
    const Shape shape = random_shape(dice, dice.below(5), 5);
    const Slice a = random_slice(dice, shape), b = random_slice(dice, shape);
    std::map<int64_t, int64_t> in_b;  // index in the whole → index in b
    for (const int64_t place : elements_of(b, shape)) in_b.emplace(place, int64_t(in_b.size()));
    std::vector<std::pair<int64_t, int64_t>> wanted, got;
    int64_t i = 0;
    for (const int64_t place : elements_of(a, shape)) {
      if (in_b.contains(place)) wanted.emplace_back(i, in_b[place]);
      ++i;
    }
    for_each_shared_run(a, b, [&](const SharedRun& run) {
      ASSERT_GT(run.count, 0);
      for (int64_t j = 0; j < run.count; ++j) got.emplace_back(run.from + j, run.to + j);
    });
    ASSERT_EQ(got, wanted) << to_string(a) << " and " << to_string(b);
  }
}

// The cost of a slice of a huge box depends on the slice, not on the box.
TEST(Box, RunsSkipWhatTheRangesLeaveOut) {
  const int64_t side = int64_t(1) << 30;
  const Slice a{{{0, 0}, {side, side - 1}}, side * 7, side * 7 + 100};
  int64_t elements = 0, runs = 0;
  for_each_shared_run(a, whole_slice(Shape{side, side}),
                      [&](const SharedRun& run) { elements += run.count, ++runs; });
  EXPECT_EQ(elements, 100);
  EXPECT_LE(runs, 2);
}

TEST(Box, WholeTensorsAreOneRun) {
  const Slice all = whole_slice(Shape{3, 4, 5});
  int runs = 0;
  for_each_shared_run(all, all, [&](const SharedRun& run) { runs += run.count == 60; });
  for_each_shared_run(Slice{all.box, 7, 50}, all, [&](const SharedRun& run) {
    runs += run.from == 0 && run.to == 7 && run.count == 43;
  });
  EXPECT_EQ(runs, 2);
}

}  // namespace
}  // namespace birkhoff::testing
