#include "tests/cuda/kernels/gemm_tile.h"

#include "base/rng.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

// Small integers, so that every sum, and so the result, is exact in f32.
std::vector<bf16> integers(size_t n, const char* name) {
  const Random random(1, name);
  std::vector<bf16> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = to_bf16(float(random.below(i, 9)) - 4);
  return v;
}

TEST(GemmTile, IsExactOnIntegers) {
  in_every_schedule([] {
    const int m = 128, n = 64, k = 96;
    const auto a = integers(size_t(m * k), "a"), b = integers(size_t(k * n), "b");
    const DeviceArray<bf16> device_a(a), device_b(b);
    const DeviceArray<float> c(size_t(m * n));
    run_gemm_tile({device_a.data(), device_b.data(), c.data(), m, n, k}, GemmFault::none, nullptr);
    const auto got = c.values();
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        double sum = 0;
        for (int d = 0; d < k; ++d)
          sum += double(to_float(a[size_t(i * k + d)])) * to_float(b[size_t(d * n + j)]);
        ASSERT_EQ(got[size_t(i * n + j)], sum) << i << "," << j;
      }
  });
}

TEST(GemmTile, MovesEachTileOnceAndWithoutBankConflicts) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  in_every_schedule([] {
    const int m = 128, n = 64, k = 96;
    const DeviceArray<bf16> a(integers(size_t(m * k), "a")), b(integers(size_t(k * n), "b"));
    const DeviceArray<float> c(size_t(m * n));
    reset_traffic();
    run_gemm_tile({a.data(), b.data(), c.data(), m, n, k}, GemmFault::none, nullptr);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    const Traffic t = traffic();
    EXPECT_EQ(t.read, uint64_t(2 * (m * k + k * n)));
    EXPECT_EQ(t.read_requested, uint64_t(2 * (m * k + 2 * k * n)));  // B by each of 2 blocks
    EXPECT_EQ(t.written, uint64_t(4 * m * n));
    EXPECT_EQ(t.written_requested, t.written);
    EXPECT_EQ(t.sectors, t.fewest_sectors);
    EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
  });
}

}  // namespace
}  // namespace birkhoff::testing
