#include "comm/local/one_rank.h"

#include <gtest/gtest.h>

#include <vector>

namespace birkhoff {
namespace {

ConstElements view(const std::vector<float>& x) {
  return {x.data(), int64_t(x.size()), DType::f32};
}

TEST(OneRank, CollectivesGiveBackWhatTheyGot) {
  OneRank self;
  EXPECT_EQ(self.rank(), 0);
  EXPECT_EQ(self.size(), 1);
  const std::vector<float> x = {1, -2, 3};
  std::vector<float> in_place = x;
  self.all_reduce(elements(std::span(in_place)), Reduction::sum);
  self.broadcast(elements(std::span(in_place)), 0);
  self.barrier();
  EXPECT_EQ(in_place, x);
  const int64_t three[] = {3};
  for (int operation = 0; operation < 3; ++operation) {
    std::vector<float> out(3);
    const Elements to = elements(std::span<float>(out));
    if (operation == 0) self.all_gather(view(x), to);
    if (operation == 1) self.reduce_scatter(view(x), to, Reduction::max);
    if (operation == 2) self.all_to_all(view(x), three, to, three);
    EXPECT_EQ(out, x) << operation;
  }
}

TEST(OneRank, RefusesWhatDoesNotFit) {
  OneRank self;
  const std::vector<float> x = {1, 2, 3};
  std::vector<float> two(2);
  std::vector<int32_t> integers(3);
  const int64_t three[] = {3}, wrong[] = {2};
  EXPECT_THROW(self.all_gather(view(x), elements(std::span(two))), InternalError);
  EXPECT_THROW(self.all_gather(view(x), elements(std::span(integers))), InternalError);
  EXPECT_THROW(self.all_to_all(view(x), wrong, elements(std::span(two)), three), InternalError);
  EXPECT_THROW(self.broadcast(elements(std::span(two)), 1), InternalError);
  EXPECT_THROW(self.send(view(x), 0), InternalError);
  EXPECT_THROW(self.receive(elements(std::span(two)), 0), InternalError);
}

}  // namespace
}  // namespace birkhoff
