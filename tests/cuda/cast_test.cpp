#include "kernels/cuda/cast.h"

#include <bit>
#include <cmath>

#include "base/rng.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

std::vector<float> any_bits(size_t count) {
  const Random random(5, "bits");
  std::vector<float> v(count);
  for (size_t i = 0; i < count; ++i)
    v[i] = std::bit_cast<float>(uint32_t(random.below(i, uint64_t{1} << 32)));
  return v;
}

// The bf16 nearest to a finite x, ties to even, found by comparing its two neighbours in double.
float nearest(float x) {
  const uint32_t below = std::bit_cast<uint32_t>(x) & 0xFFFF0000u, above = below + 0x10000u;
  const double low = double(std::bit_cast<float>(below));
  // The value above the largest bf16 counts as the next power of two.
  const double high = (above & 0x7F800000u) == 0x7F800000u ? std::copysign(0x1p128, double(x))
                                                           : double(std::bit_cast<float>(above));
  const double to_low = std::fabs(double(x) - low), to_high = std::fabs(high - double(x));
  const bool up = to_high < to_low || (to_high == to_low && (below >> 16 & 1));
  return std::bit_cast<float>(up ? above : below);
}

TEST(CudaCast, RoundsToTheNearestBf16) {
  for (const size_t count : {1, 7, 4100})
    in_every_schedule([&] {
      auto x = any_bits(count);
      x[0] = 1 + 0x1p-8f;  // a tie, to 1
      if (count > 4) x[1] = 1 + 3 * 0x1p-8f, x[2] = 3.4e38f, x[3] = -0.0f, x[4] = 0x1p-149f;
      const DeviceArray<float> from(x);
      const DeviceArray<bf16> to(count);
      cuda::round_to_bf16(from.data(), to.data(), int64_t(count), nullptr);
      const auto got = to.values();
      for (size_t i = 0; i < count; ++i) {
        if (std::isnan(x[i]))
          ASSERT_TRUE(std::isnan(to_float(got[i]))) << i;
        else if (std::isinf(x[i]))
          ASSERT_EQ(to_float(got[i]), x[i]) << i;
        else
          ASSERT_EQ(std::bit_cast<uint32_t>(to_float(got[i])),
                    std::bit_cast<uint32_t>(nearest(x[i])))
              << x[i];
      }
    });
}

TEST(CudaCast, WidensEachBf16Exactly) {
  in_every_schedule([] {
    std::vector<bf16> x(65536 / 8 + 3);
    for (size_t i = 0; i < x.size(); ++i) x[i] = {uint16_t(i * 8 + i % 8)};
    const DeviceArray<bf16> from(x);
    const DeviceArray<float> to(x.size());
    cuda::widen_to_f32(from.data(), to.data(), int64_t(x.size()), nullptr);
    const auto got = to.values();
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), uint32_t(x[i].bits) << 16);
  });
}

TEST(CudaFill, SetsTheArrayAndNothingElse) {
  for (const int64_t count : {0, 1, 5, 8, 2051})
    in_every_schedule([&] {
      const size_t size = size_t(count) + 16;
      const DeviceArray<float> floats(std::vector<float>(size, 1));
      const DeviceArray<bf16> halves(std::vector<bf16>(size, bf16{1}));
      cuda::fill(floats.data(), -2.5f, count, nullptr);
      cuda::fill(halves.data(), bf16{0x4049}, count, nullptr);
      const auto f = floats.values();
      const auto h = halves.values();
      for (size_t i = 0; i < size; ++i) {
        ASSERT_EQ(f[i], i < size_t(count) ? -2.5f : 1.0f) << i;
        ASSERT_EQ(h[i].bits, i < size_t(count) ? 0x4049 : 1) << i;
      }
    });
}

TEST(CudaCast, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  in_every_schedule([] {
    const int64_t count = 1040;
    const auto n = uint64_t(count);
    const DeviceArray<float> f(any_bits(n));
    const DeviceArray<bf16> h(n);
    reset_traffic();
    cuda::round_to_bf16(f.data(), h.data(), count, nullptr);
    cuda::widen_to_f32(h.data(), f.data(), count, nullptr);
    cuda::fill(f.data(), 0.0f, count, nullptr);
    cuda::fill(h.data(), bf16{0}, count, nullptr);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    const Traffic t = traffic();
    EXPECT_EQ(t.read, 6 * n);
    EXPECT_EQ(t.read_requested, t.read);
    EXPECT_EQ(t.written, 12 * n);
    EXPECT_EQ(t.written_requested, t.written);
    EXPECT_EQ(t.sectors, t.fewest_sectors);
  });
}

}  // namespace
}  // namespace birkhoff::testing
