// Every collective against brute force: ranks × element types × ragged counts, in small chunks.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/comm/ranks.h"

namespace birkhoff {
namespace {

using testing::Jitter;
using testing::run_in_time;

constexpr int64_t kCounts[] = {0, 1, 2, 7, 31, 97, 601};

// Element i of rank r for input `salt`. Floats have many magnitudes, so that the order of a sum
// matters; integers use all bits, so that sums wrap.
template <class T>
T value(int rank, int64_t i, int salt) {
  const Random random(uint64_t(salt), "values");
  const uint64_t at = uint64_t(i) * 64 + uint64_t(rank);
  if constexpr (std::is_integral_v<T>)
    return T(random.bits(at));
  else {
    const double x = random.normal(at) * std::pow(10.0, double(random.below(at, 8)));
    if constexpr (std::is_same_v<T, bf16>)
      return to_bf16(float(x));
    else
      return T(x);
  }
}

template <class T>
std::vector<T> values(int rank, int64_t count, int salt) {
  std::vector<T> x;
  for (int64_t i = 0; i < count; ++i) x.push_back(value<T>(rank, i, salt));
  return x;
}

template <class T>
T reduced(int ranks, int64_t i, int salt, Reduction reduction) {
  if constexpr (std::is_same_v<T, bf16>) {
    float sum = to_float(value<T>(0, i, salt));
    for (int r = 1; r < ranks; ++r) {
      const float x = to_float(value<T>(r, i, salt));
      sum = reduction == Reduction::sum ? sum + x : std::fmax(sum, x);
    }
    return to_bf16(sum);
  } else if constexpr (std::is_integral_v<T>) {
    T most = value<T>(0, i, salt);
    uint64_t sum = 0;
    for (int r = 0; r < ranks; ++r) {
      sum += uint64_t(value<T>(r, i, salt));
      most = std::max(most, value<T>(r, i, salt));
    }
    return reduction == Reduction::sum ? T(sum) : most;
  } else {
    T sum = value<T>(0, i, salt);
    for (int r = 1; r < ranks; ++r) {
      const T x = value<T>(r, i, salt);
      sum = reduction == Reduction::sum ? sum + x : std::fmax(sum, x);
    }
    return sum;
  }
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
ConstElements in(const std::vector<T>& x) {
  return elements(std::span<const T>(x));
}
template <class T>
Elements out(std::vector<T>& x) {
  return elements(std::span<T>(x));
}

template <class T>
void try_reductions(Communicator& ranks, int64_t count, Jitter& jitter) {
  const int n = ranks.size(), self = ranks.rank();
  for (const Reduction reduction : {Reduction::sum, Reduction::max}) {
    std::vector<T> x = values<T>(self, count, 1), want;
    jitter();
    ranks.all_reduce(out(x), reduction);
    for (int64_t i = 0; i < count; ++i) want.push_back(reduced<T>(n, i, 1, reduction));
    EXPECT_TRUE(same(x, want)) << "all_reduce of " << count << ", rank " << self << " of " << n;

    const std::vector<T> all = values<T>(self, count * n, 2);
    std::vector<T> slice(static_cast<size_t>(count));
    want.clear();
    jitter();
    ranks.reduce_scatter(in(all), out(slice), reduction);
    for (int64_t i = 0; i < count; ++i)
      want.push_back(reduced<T>(n, self * count + i, 2, reduction));
    EXPECT_TRUE(same(slice, want)) << "reduce_scatter of " << count << ", rank " << self;
  }
}

template <class T>
void try_moves(Communicator& ranks, int64_t count, Jitter& jitter) {
  const int n = ranks.size(), self = ranks.rank();
  std::vector<T> gathered(size_t(count * n)), want;
  jitter();
  ranks.all_gather(in(values<T>(self, count, 3)), out(gathered));
  for (int r = 0; r < n; ++r)
    for (int64_t i = 0; i < count; ++i) want.push_back(value<T>(r, i, 3));
  EXPECT_TRUE(same(gathered, want)) << "all_gather of " << count << ", rank " << self;

  for (const int root : {0, n / 2, n - 1}) {
    std::vector<T> x = values<T>(self, count, 4);
    jitter();
    ranks.broadcast(out(x), root);
    EXPECT_TRUE(same(x, values<T>(root, count, 4))) << "broadcast of " << count << " by " << root;
  }

  // Sends around the ring, and receives at the same time.
  if (n > 1) {
    std::vector<T> x(static_cast<size_t>(count));
    const std::vector<T> own = values<T>(self, count, 5);
    jitter();
    Pending sent = ranks.start_send(in(own), (self + 1) % n);
    ranks.receive(out(x), (self + n - 1) % n);
    sent.wait();
    EXPECT_TRUE(same(x, values<T>((self + n - 1) % n, count, 5))) << "receive of " << count;
  }
  jitter();
  ranks.barrier();
}

// Number of elements that rank a sends rank b, a function of both.
int64_t to_send(int from, int to, int64_t count) { return (from * 7 + to * 4 + 1) % 5 * count / 3; }

template <class T>
void try_all_to_all(Communicator& ranks, int64_t count, Jitter& jitter) {
  const int n = ranks.size(), self = ranks.rank();
  std::vector<int64_t> send_counts, receive_counts;
  std::vector<T> x, want;
  for (int r = 0; r < n; ++r) {
    send_counts.push_back(to_send(self, r, count));
    receive_counts.push_back(to_send(r, self, count));
    for (int64_t i = 0; i < send_counts.back(); ++i) x.push_back(value<T>(self, i, 10 + r));
    for (int64_t i = 0; i < receive_counts.back(); ++i) want.push_back(value<T>(r, i, 10 + self));
  }
  std::vector<T> got(want.size());
  jitter();
  ranks.all_to_all(in(x), send_counts, out(got), receive_counts);
  EXPECT_TRUE(same(got, want)) << "all_to_all of " << count << ", rank " << self << " of " << n;
}

template <class T>
void try_all(Communicator& ranks, std::span<const int64_t> counts) {
  Jitter jitter(ranks.rank());
  for (const int64_t count : counts) {
    try_reductions<T>(ranks, count, jitter);
    try_moves<T>(ranks, count, jitter);
    try_all_to_all<T>(ranks, count, jitter);
  }
}

class CommunicatorRanks : public ::testing::TestWithParam<int> {};

TEST_P(CommunicatorRanks, EveryCollectiveIsAsByBruteForce) {
  for (const int64_t chunk : {int64_t(64), int64_t(0)})
    run_in_time(GetParam(),
                [](Communicator& ranks) {
                  try_all<float>(ranks, kCounts);
                  try_all<bf16>(ranks, kCounts);
                  try_all<double>(ranks, kCounts);
                  try_all<int32_t>(ranks, kCounts);
                  try_all<int64_t>(ranks, kCounts);
                },
                {.chunk_bytes = chunk});
}

INSTANTIATE_TEST_SUITE_P(Sizes, CommunicatorRanks, ::testing::Values(1, 2, 3, 4, 5, 8));

// Several chunks per slice, in production's chunk size, and a short one at the end.
TEST(CommunicatorLarge, ReductionsGoInSeveralChunks) {
  constexpr int64_t kCount = 1'800'001;
  const auto element = [](int rank, int64_t i) {
    return float((uint64_t(i) * 2654435761u + uint64_t(rank) * 97) % 1000003) * 1e-3f;
  };
  for (const int n : {2, 3})
    run_in_time(n, [&](Communicator& ranks) {
      std::vector<float> x(size_t(kCount), 0);
      for (int64_t i = 0; i < kCount; ++i) x[size_t(i)] = element(ranks.rank(), i);
      ranks.all_reduce(out(x), Reduction::sum);
      int64_t wrong = 0;
      for (int64_t i = 0; i < kCount; ++i) {
        float sum = element(0, i);
        for (int r = 1; r < n; ++r) sum += element(r, i);
        wrong += x[size_t(i)] != sum;
      }
      EXPECT_EQ(wrong, 0);
    });
}

// 1e8 + 1 rounds to 1e8 in f32: in rank order the sum is 1. From the last rank to the first, or in
// pairs, it is 0; exactly, it is 2. bf16 keeps 8 bits: 256 + 1 + 1 is 258 in f32, but 256 if
// rounded each time.
TEST(CommunicatorOrder, SumsAreInRankOrderAndRoundedOnce) {
  const float floats[] = {1e8f, 1, -1e8f, 1};
  const float halves[] = {256, 1, 1, 0};
  run_in_time(4, [&](Communicator& ranks) {
    for (const int64_t count : {1, 5, 130}) {  // 130: every rank has a slice
      std::vector<float> x(size_t(count), floats[ranks.rank()]);
      ranks.all_reduce(out(x), Reduction::sum);
      EXPECT_EQ(x, std::vector<float>(size_t(count), 1.0f));
      std::vector<bf16> y(size_t(count), to_bf16(halves[ranks.rank()]));
      ranks.all_reduce(out(y), Reduction::sum);
      for (const bf16 v : y) EXPECT_EQ(to_float(v), 258.0f);
    }
  });
}

TEST(CommunicatorOrder, TheLargestOfANaNIsANaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  run_in_time(3, [&](Communicator& ranks) {
    for (int where = 0; where < 3; ++where) {
      std::vector<float> x = {ranks.rank() == where ? nan : 1.0f, float(-ranks.rank())};
      ranks.all_reduce(out(x), Reduction::max);
      EXPECT_TRUE(std::isnan(x[0])) << where;
      EXPECT_EQ(x[1], 0);
    }
  });
}

}  // namespace
}  // namespace birkhoff
