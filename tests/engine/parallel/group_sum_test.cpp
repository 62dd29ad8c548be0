#include "engine/parallel/group_sum.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "base/rng.h"
#include "comm/local/run_ranks.h"

namespace birkhoff::testing {
namespace {

struct Values {
  std::vector<float> small, large;
  std::vector<double> loss;
  std::vector<int32_t> load;
};

// Numbers whose float sum depends on the order.
Values leaf(int64_t group) {
  Values v{.small = std::vector<float>(3),
           .large = std::vector<float>(1777),
           .loss = {0.0},
           .load = std::vector<int32_t>(5)};
  const Random random(4, "leaf");
  const auto draw = [&](int64_t i) { return random.normal(uint64_t(group * 10000 + i)); };
  for (size_t i = 0; i < v.small.size(); ++i) v.small[i] = draw(int64_t(i));
  for (size_t i = 0; i < v.large.size(); ++i) v.large[i] = draw(100 + int64_t(i));
  v.loss[0] = double(draw(50)) / 3;
  for (size_t i = 0; i < v.load.size(); ++i) v.load[i] = int32_t(group + int64_t(i));
  return v;
}

template <class T>
std::vector<T> plus(const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> sum;
  for (size_t i = 0; i < a.size(); ++i) sum.push_back(a[i] + b[i]);
  return sum;
}

// The tree by its definition: a node is the sum of its children, as far as they cover anything.
Values tree(int64_t groups, int64_t begin, int64_t width) {
  if (width == 1) return leaf(begin);
  const Values left = tree(groups, begin, width / 2);
  if (begin + width / 2 >= groups) return left;
  const Values right = tree(groups, begin + width / 2, width / 2);
  return {plus(left.small, right.small), plus(left.large, right.large), plus(left.loss, right.loss),
          plus(left.load, right.load)};
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(GroupSum, IsTheTreeOnEveryRankOfEveryNumber) {
  for (const int64_t groups : {1, 2, 3, 4, 6, 8, 12}) {
    int64_t width = 1;
    while (width < groups) width *= 2;
    const Values want = tree(groups, 0, width);
    for (int ranks = 1; ranks <= groups; ++ranks) {
      if (groups % ranks) continue;
      run_ranks(ranks, [&](Communicator& comm) {
        ThreadTeam team(1 + comm.rank() % 2);
        Values v = leaf(0);
        const auto tensor = [](auto& values) {
          return GroupSum::Tensor{elements(std::span(values)).dtype, int64_t(values.size()),
                                  reinterpret_cast<std::byte*>(values.data())};
        };
        GroupSum sum({tensor(v.small), tensor(v.loss), tensor(v.large), tensor(v.load)}, groups,
                     comm, team);
        for (int step = 0; step < 2; ++step) {
          for (int64_t g = sum.own().begin; g < sum.own().end; ++g) {
            const Values next = leaf(g);
            std::copy(next.small.begin(), next.small.end(), v.small.begin());
            std::copy(next.large.begin(), next.large.end(), v.large.begin());
            v.loss[0] = next.loss[0];
            std::copy(next.load.begin(), next.load.end(), v.load.begin());
            sum.close_group();
          }
          sum.finish();
          EXPECT_TRUE(same_bits(v.small, want.small)) << groups << " groups, " << ranks;
          EXPECT_TRUE(same_bits(v.large, want.large)) << groups << " groups, " << ranks;
          EXPECT_TRUE(same_bits(v.loss, want.loss)) << groups << " groups, " << ranks;
          EXPECT_EQ(v.load, want.load) << groups << " groups, " << ranks;
        }
      });
    }
  }
}

// Tensors larger than a bucket, cut at offsets that are no multiple of anything.
TEST(GroupSum, GoesInBuckets) {
  constexpr int64_t kCount = int64_t(GroupSum::kBucketBytes / 4) * 2 + 12345;
  run_ranks(3, [&](Communicator& comm) {
    ThreadTeam team(1);
    std::vector<int32_t> ones(7, 1), many(kCount);
    for (int64_t i = 0; i < kCount; ++i) many[size_t(i)] = int32_t(i % 1009) + comm.rank();
    GroupSum sum({{DType::i32, 7, reinterpret_cast<std::byte*>(ones.data())},
                  {DType::i32, kCount, reinterpret_cast<std::byte*>(many.data())}},
                 3, comm, team);
    sum.close_group();
    sum.finish();
    EXPECT_EQ(ones, std::vector<int32_t>(7, 3));
    int64_t wrong = 0;
    for (int64_t i = 0; i < kCount; ++i) wrong += many[size_t(i)] != 3 * int32_t(i % 1009) + 3;
    EXPECT_EQ(wrong, 0);
  });
}

}  // namespace
}  // namespace birkhoff::testing
