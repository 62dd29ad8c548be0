#include "kernels/cuda/norm.h"

#include <bit>
#include <cmath>

#include "base/exact_sum.h"
#include "base/rng.h"
#include "kernels/norm.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

static_assert(cuda::kNormLimbs == birkhoff::kNormLimbs);

// Random bits except Inf and NaN, with all exponents, including denormals.
std::vector<float> any_floats(size_t count) {
  const Random random(3, "floats");
  std::vector<float> v(count);
  for (size_t i = 0; i < count; ++i) {
    const auto exponent = uint32_t(random.below(2 * i, 255)) << 23;
    v[i] = std::bit_cast<float>(exponent | uint32_t(random.below(2 * i + 1, 1u << 23)) |
                                uint32_t(i % 2) << 31);
  }
  return v;
}

std::vector<int64_t> exact(const std::vector<float>& g) {
  FloatSum sum;
  for (const float x : g) sum.add_square(x);
  sum.carry();
  std::vector<int64_t> limbs(sum.limbs().begin(), sum.limbs().end());
  limbs.push_back(sum.nonfinite());
  return limbs;
}

std::vector<int64_t> on_device(const std::vector<float>& g, const std::vector<int64_t>* base) {
  const DeviceArray<float> values(g);
  const DeviceArray<int64_t> acc(base ? *base : std::vector<int64_t>(cuda::kNormLimbs, -1)),
      workspace(size_t(cuda::squared_sum_blocks(int64_t(g.size()))) * cuda::kNormLimbs);
  cuda::squared_sum({.g = values.data(),
                     .count = int64_t(g.size()),
                     .base = base ? acc.data() : nullptr,
                     .acc = acc.data(),
                     .workspace = workspace.data()},
                    nullptr);
  return acc.values();
}

TEST(CudaSquaredSum, HasEachBitOfTheSum) {
  for (const size_t count : {1, 3, 512, 1533})
    in_every_schedule([&] {
      const auto g = any_floats(count);
      const auto want = exact(g);
      EXPECT_EQ(on_device(g, nullptr), want);
      auto twice = want;
      for (int64_t& limb : twice) limb *= 2;
      EXPECT_EQ(on_device(g, &want), twice) << "added to a base";
    });
}

TEST(CudaSquaredSum, TakesTheSmallestTheLargestAndWhatIsNotFinite) {
  in_every_schedule([] {
    std::vector<float> g(700, std::numeric_limits<float>::max());
    g[0] = std::numeric_limits<float>::denorm_min(), g[1] = 0, g[2] = -0.0f;
    EXPECT_EQ(on_device(g, nullptr), exact(g));
    g[3] = HUGE_VALF, g[699] = -HUGE_VALF, g[350] = std::nanf("");
    const auto got = on_device(g, nullptr);
    EXPECT_EQ(got, exact(g));
    EXPECT_EQ(got.back(), 3);
  });
}

TEST(CudaSquaredSum, ReadsEachElementOnce) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  in_every_schedule([] {
    const auto g = any_floats(1026);
    reset_traffic();
    on_device(g, nullptr);
    const Traffic t = traffic();
    const uint64_t partials = cuda::squared_sum_blocks(1026) * cuda::kNormLimbs * 8;
    EXPECT_EQ(t.read, 4 * g.size() + partials);
    EXPECT_EQ(t.read_requested, t.read);
    EXPECT_EQ(t.written, partials + cuda::kNormLimbs * 8);
    // Columns of limbs have no bank conflicts; the kernel that adds up the blocks has some, as its
    // rows have 21 limbs.
    EXPECT_LE(t.wavefronts - t.fewest_wavefronts, 64u);
  });
}

TEST(CudaClipScale, HasTheBitsOfTheExactSum) {
  const float least = std::numeric_limits<float>::denorm_min();
  std::vector<std::vector<float>> all = {
      {0}, {least}, {3, 4}, {0.5f}, {1e-30f, 1e9}, any_floats(9), any_floats(400), {HUGE_VALF}};
  // x² + 4, and a little more, where doubles are 8 apart and x² is 16 times an even number: a tie,
  // and just above it. A root moves by 0.5 to 0.7 ulp when its square moves by one.
  for (int i = 0; i < 6; ++i)
    for (const float more : {0.0f, 0x1p-20f}) all.push_back({2e8f + 16 * float(i), 2, more});
  for (const auto& g : all)
    for (const double max_norm : {0.0, 1.0})
      in_every_schedule([&] {
        const auto limbs = exact(g);
        const DeviceArray<int64_t> acc(limbs);
        const DeviceArray<float> scale(1);
        const DeviceArray<double> norm(1);
        cuda::clip_scale(
            {.acc = acc.data(), .max_norm = max_norm, .scale = scale.data(), .norm = norm.data()},
            nullptr);
        const double want = std::sqrt(FloatSum::from(limbs.data(), limbs.back()).value());
        const double got = norm.values()[0], factor = double(scale.values()[0]);
        if (std::isnan(want)) {
          EXPECT_TRUE(std::isnan(got) && std::isnan(factor));
        } else {
          EXPECT_EQ(got, want);
          EXPECT_EQ(factor, max_norm > 0 && want > max_norm ? double(float(max_norm / want)) : 1.0);
        }
      });
}

}  // namespace
}  // namespace birkhoff::testing
