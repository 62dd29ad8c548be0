// What rotary() makes of yarn's keys, against values worked out by hand from the definition: the
// published keys of DeepSeek-V3 and Kimi K2, and the corners of the ramp.
#include "engine/nn/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace birkhoff::nn {
namespace {

ModelConfig deepseek_v3() {
  ModelConfig m;
  m.nope_dim = 128, m.rope_dim = 64, m.rope_theta = 10000;
  m.rope_scaling = RopeScaling::yarn;
  m.rope_factor = 40, m.rope_original_positions = 4096;
  m.rope_beta_fast = 32, m.rope_beta_slow = 1;
  m.rope_mscale = 1, m.rope_mscale_all_dim = 1;
  return m;
}

void expect_ramp(const ModelConfig& m, double low, double high) {
  const Rope::Desc desc = rotary(m, 1);
  EXPECT_NEAR(desc.low, low, 1e-7);
  EXPECT_NEAR(desc.high, high, 1e-7);
}

// 64·ln(4096 / (2π·32)) / (2·ln 10⁴) = 10.4722, and 22.5134 with 1 instead of 32; ln 40 = 3.68888.
TEST(Rotary, OfDeepSeekV3) {
  const Rope::Desc desc = rotary(deepseek_v3(), 128);
  EXPECT_EQ(Desc(desc).text(),
            "heads=128 dims=64 theta=10000 inverse=false factor=40 low=10 high=23 magnitude=1");
  EXPECT_NEAR(attention_scale(deepseek_v3()), 1.368888 * 1.368888 / std::sqrt(192), 1e-7);
  ModelConfig plain = deepseek_v3();
  plain.rope_scaling = RopeScaling::none;  // the other keys do nothing
  EXPECT_EQ(Desc(rotary(plain, 1)).text(), "heads=1 dims=64 theta=10000 inverse=false");
  EXPECT_EQ(attention_scale(plain), 1 / std::sqrt(192.0));
}

// 64·ln(4096 / 2π) / (2·ln 50000) = 19.1645.
TEST(Rotary, OfKimiK2) {
  ModelConfig m = deepseek_v3();
  m.rope_theta = 50000, m.rope_factor = 32, m.rope_beta_fast = 1;
  expect_ramp(m, 19, 20);
  m.rope_truncate = false;
  const Rope::Desc desc = rotary(m, 1);
  EXPECT_NEAR(desc.low, 19.1645, 1e-4);
  EXPECT_NEAR(desc.high - desc.low, 0.001, 1e-12);
}

TEST(Rotary, TheRampStaysWithinTheFeatures) {
  ModelConfig m = deepseek_v3();
  m.rope_truncate = false;
  expect_ramp(m, 10.47224081, 22.51344064);
  m.rope_beta_fast = 1e6;  // more turns than there are positions
  expect_ramp(m, 0, 22.51344064);
  m.rope_original_positions = 1 << 30, m.rope_beta_slow = 1e-6;
  EXPECT_EQ(rotary(m, 1).high, 63);
  m.rope_original_positions = 1, m.rope_beta_slow = 1;  // transformers' formula, whatever it means
  EXPECT_EQ(rotary(m, 1).low, 0);
  EXPECT_LT(rotary(m, 1).high, 0);
}

// g(w) = 1 + 0.1·w·ln 40.
TEST(Rotary, SizesFollowFromTheMscales) {
  const auto sizes = [](double mscale, double all_dim, double attention_factor) {
    ModelConfig m = deepseek_v3();
    m.rope_mscale = mscale, m.rope_mscale_all_dim = all_dim;
    m.rope_attention_factor = attention_factor;
    return std::pair(rotary(m, 1).magnitude, attention_scale(m) * std::sqrt(192));
  };
  const auto expect = [](std::pair<double, double> got, double magnitude, double scale) {
    EXPECT_NEAR(got.first, magnitude, 1e-6);
    EXPECT_NEAR(got.second, scale, 1e-6);
  };
  expect(sizes(1, 1, 0), 1, 1.8738542);
  expect(sizes(0, 0, 0), 1.3688879, 1);
  expect(sizes(0.707, 0, 0), 1.3688879, 1);          // alone it has no effect
  expect(sizes(0, 0.707, 0), 1.3688879, 1.5896262);  // 1.2608038²
  expect(sizes(1, 0.707, 0), 1.3688879 / 1.2608038, 1.5896262);
  expect(sizes(1, 1, 1.5), 1.5, 1.8738542);
}

}  // namespace
}  // namespace birkhoff::nn
