// Checks what the timed loops compute: a loop that did less work would measure the wrong limit. No
// test checks a time.
#include "kernels/peak_rates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "base/buffer.h"
#include "kernels/cpu/peak_loops.h"
#include "kernels/cpu/routines.h"
#include "tests/kernels/instruction_sets.h"

namespace birkhoff::testing {
namespace {

constexpr int64_t kRoom = 200;

struct Lines {  // at an address divisible by 64
  explicit Lines(float value) : data{reinterpret_cast<float*>(buffer.data()), size_t(kRoom)} {
    std::fill(data.begin(), data.end(), value);
  }
  Buffer buffer{kRoom * sizeof(float)};
  std::span<float> data;
};

void expect_whole_loops() {
  for (const int64_t count : {1, 15, 16, 63, 64, 131, 199}) {
    SCOPED_TRACE(count);
    Lines from(0), plain(-1), streamed(-1);
    std::iota(from.data.begin(), from.data.end(), 1.0f);
    cpu::copy_plain(from.data.data(), plain.data.data(), count);
    cpu::copy_streaming(from.data.data(), streamed.data.data(), count);
    EXPECT_EQ(cpu::read_only(from.data.data(), count), float(count * (count + 1) / 2));
    cpu::sweep(from.data.data(), count);
    for (int64_t i = 0; i < kRoom; ++i) {
      const bool in = i < count;
      EXPECT_EQ(plain.data[size_t(i)], in ? float(i + 1) : -1) << i;
      EXPECT_EQ(streamed.data[size_t(i)], in ? float(i + 1) : -1) << i;
      EXPECT_EQ(from.data[size_t(i)], in ? float(i + 2) / 2 : float(i + 1)) << i;
    }
  }
}

// Chain c starts at c, and each round maps x to x/2 + 1/4, which gives 1/2 + (c − 1/2)/2^rounds.
void expect_all_chains() {
  const auto flops = double(cpu::multiply_adds_flops());
  for (const int64_t rounds : {0, 1, 5}) {
    double want = 0;
    for (int c = 0; c < 12; ++c) want += 0.5 + (c - 0.5) * std::exp2(-double(rounds));
    EXPECT_EQ(double(cpu::multiply_adds(rounds)), want * flops / 2 / 12) << rounds;
  }
}

TEST(PeakRates, LoopsDoWhatTheyAreTimedFor) {
  expect_whole_loops();
  on_other_instruction_sets(expect_whole_loops);
}

TEST(PeakRates, ChainsOfMultiplyAdds) {
  expect_all_chains();
  on_other_instruction_sets(expect_all_chains);
}

// All elements are 2^-8. A pair adds 2·2^-16 in 4 flops, so each flop adds half of 2^-16.
TEST(PeakRates, ProductsOfPairs) {
  const cpu::Routines& loops = cpu::routines(host_features());
  if (!loops.bf16_products) GTEST_SKIP() << "no such instruction here";
  for (const int64_t rounds : {0, 1, 7})
    EXPECT_EQ(double(loops.bf16_products(rounds)),
              double(rounds * loops.bf16_products_flops) / 2 * std::exp2(-16));
}

TEST(PeakRates, AreMeasured) {
  for (const int threads : {1, 3}) {
    ThreadTeam team(threads);
    Lines a(0), b(0);
    const PeakRates l = measure_peak_rates(team, a.data, b.data);
    for (const double limit : {l.copy, l.copy_streaming, l.read, l.sweep, l.f32})
      EXPECT_TRUE(std::isfinite(limit) && limit > 0);
    EXPECT_EQ(l.bf16 > 0, host_features().avx512_bf16);
    EXPECT_EQ(l.peak(true), l.bf16 > 0 ? l.bf16 : l.f32);
    EXPECT_EQ(l.peak(false), l.f32);
    for (const float value : b.data) EXPECT_EQ(value, 1);
  }
}

TEST(PeakRates, TheBetterOfTwo) {
  const PeakRates a{.copy = 1, .copy_streaming = 9, .read = 3, .sweep = 4, .f32 = 5, .bf16 = 0};
  const PeakRates b{.copy = 2, .copy_streaming = 8, .read = 4, .sweep = 3, .f32 = 4, .bf16 = 7};
  const PeakRates best = better_of(a, b);
  EXPECT_EQ(best.copy, 2);
  EXPECT_EQ(best.copy_streaming, 9);
  EXPECT_EQ(best.read, 4);
  EXPECT_EQ(best.sweep, 4);
  EXPECT_EQ(best.f32, 5);
  EXPECT_EQ(best.bf16, 7);
  EXPECT_EQ(best.bandwidth(), 9);
}

}  // namespace
}  // namespace birkhoff::testing
