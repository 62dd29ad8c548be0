#include "engine/train/loop_state.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace birkhoff::testing {
namespace {

TEST(LoopState, IsReadBackAsItWas) {
  LoopState state;
  state.take_step({{1, 2, 3}, {0, 0, 6}}, 4, 128);
  state.take_step({{5, 0, 1}, {2, 2, 2}}, 4, 128);
  EXPECT_EQ(state.load, (std::vector<std::vector<int64_t>>{{6, 2, 4}, {2, 2, 8}}));
  for (const LoopState& s : {state, LoopState()}) {
    const CheckpointInfo info{.step = 2, .tokens = s.tokens, .state = to_text(s)};
    EXPECT_EQ(parse_loop_state(info), s);
  }
  state.ranks = 3;
  EXPECT_EQ(parse_loop_state({.tokens = state.tokens, .state = to_text(state)}), state);
}

TEST(LoopState, ADamagedOneIsRefused) {
  for (const std::string text : {"", "x", "-1", "1,", ",1", "1 ", "99999999999999999999", "1;2"}) {
    EXPECT_THROW(parse_loop_state({.state = {{"samples", text}}}), CheckpointError) << text;
    EXPECT_THROW(parse_loop_state({.state = {{"samples", "1"}, {"expert_load.0", text}}}),
                 CheckpointError)
        << text;
  }
  EXPECT_THROW(parse_loop_state({}), CheckpointError);
}

// Other windows, or the same in another order, have another hash; parts add up.
TEST(WindowHash, TellsWindowsAndPlaces) {
  Batch whole, left, right;
  whole.windows = {7, 3, 7, -1}, left.windows = {7}, right.windows = {3, 7, -1};
  EXPECT_EQ(window_hash(left, 10) + window_hash(right, 11), window_hash(whole, 10));
  std::set<uint64_t> seen = {window_hash(whole, 10) & kWindowHashMask};
  for (const std::vector<int64_t>& other :
       {std::vector<int64_t>{3, 7, 7}, {7, 7, 3}, {7, 3, 8}, {7, 3}, {8, 3, 7}, {}}) {
    Batch batch;
    batch.windows = other;
    EXPECT_TRUE(seen.insert(window_hash(batch, 10) & kWindowHashMask).second);
  }
  EXPECT_TRUE(seen.insert(window_hash(whole, 11) & kWindowHashMask).second);
}

}  // namespace
}  // namespace birkhoff::testing
