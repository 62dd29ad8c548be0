// Each function ("word") of kernels/cuda/device/sm_90.h behaves as CUDA's documentation says.
#include "tests/cuda/kernels/sm_90/words.h"

#include "base/error.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

constexpr unsigned kThreads = 64, kBlocks = 16;

// The block after another in its cluster, cyclically.
size_t next_of(size_t block, unsigned cluster) {
  return block / cluster * cluster + (block + 1) % cluster;
}

std::vector<float> numbers(size_t count) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) values.push_back(float(i));
  return values;
}

TEST(WordsSm90, RanksAndSizes) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    for (const unsigned cluster : {1u, 2u, 4u, 8u}) {
      const DeviceArray<unsigned> out(2 * kBlocks);
      run_ranks(out.data(), kBlocks, cluster, nullptr);
      const auto said = out.values();
      for (unsigned b = 0; b < kBlocks; ++b) {
        EXPECT_EQ(said[2 * b], b % cluster) << b;
        EXPECT_EQ(said[2 * b + 1], cluster) << b;
      }
    }
  });
}

TEST(WordsSm90, APeersMemoryIsRead) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    for (const unsigned cluster : {1u, 2u, 8u}) {
      const DeviceArray<float> in(numbers(kBlocks * kThreads)), out(kBlocks * kThreads);
      run_read_next(in.data(), out.data(), kBlocks, cluster, nullptr);
      const auto y = out.values();
      for (size_t b = 0; b < kBlocks; ++b)
        for (size_t i = 0; i < kThreads; ++i)
          EXPECT_EQ(y[b * kThreads + i], float(next_of(b, cluster) * kThreads + kThreads - 1 - i));
    }
  });
}

TEST(WordsSm90, APeersMemoryIsWritten) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    for (const unsigned cluster : {1u, 2u, 8u}) {
      const DeviceArray<float> in(numbers(kBlocks * kThreads)), out(kBlocks * kThreads);
      reset_traffic();
      run_write_next(in.data(), out.data(), kBlocks, cluster, nullptr);
      const auto y = out.values();
      for (size_t b = 0; b < kBlocks; ++b)
        for (size_t i = 0; i < kThreads; ++i)
          EXPECT_EQ(y[next_of(b, cluster) * kThreads + i], float(b * kThreads + i));
      if (!has_checker()) continue;
      EXPECT_EQ(traffic().peer_written, cluster == 1 ? 0 : kBlocks * kThreads * sizeof(float));
      EXPECT_EQ(traffic().peer_read, 0u);
    }
  });
}

TEST(WordsSm90, BulkCopies) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    constexpr int kMostRounds = 5;
    const auto x = numbers(kMostRounds * kThreads);
    const DeviceArray<float> in(x);
    for (const int n : {4, 20, 64})
      for (const int rounds : {1, 2, kMostRounds}) {
        const DeviceArray<float> out{size_t(n)};
        reset_traffic();
        run_copy_bulk(in.data(), out.data(), n, rounds, nullptr);
        const auto y = out.values();
        for (size_t i = 0; i < size_t(n); ++i) {
          float sum = 0;  // exact, as the values are small integers
          for (size_t r = 0; r < size_t(rounds); ++r) sum += x[r * kThreads + i];
          EXPECT_EQ(y[i], sum) << n << " " << rounds << " " << i;
        }
        if (has_checker()) {
          EXPECT_EQ(traffic().read, size_t(n * rounds) * sizeof(float));
        }
      }
  });
}

TEST(WordsSm90, AnMbarrierOrdersWhatCameBeforeItsArrivals) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const DeviceArray<int> counts(3 * kThreads);
    run_arrivals(counts.data(), nullptr);
    EXPECT_EQ(counts.values(), std::vector<int>(3 * kThreads, int(kThreads)));
  });
}

TEST(WordsSm90, PeersArriveAtAnMbarrier) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    for (const unsigned cluster : {1u, 2u, 8u}) {
      const DeviceArray<int> sums(size_t{3} * cluster * kThreads);
      run_peer_arrivals(sums.data(), cluster, nullptr);
      std::vector<int> want;
      for (unsigned round = 0; round < 3; ++round)
        want.insert(want.end(), size_t{cluster} * kThreads,
                    int(cluster * 1000 * round + cluster * (cluster - 1) / 2));
      EXPECT_EQ(sums.values(), want);
    }
  });
}

TEST(WordsSm90, AGridIsOfWholeClusters) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const DeviceArray<unsigned> out(2 * kBlocks);
    EXPECT_THROW(run_ranks(out.data(), 3, 2, nullptr), InternalError);
    EXPECT_THROW(run_ranks(out.data(), kBlocks, 16, nullptr), InternalError);
  });
}

}  // namespace
}  // namespace birkhoff::testing
