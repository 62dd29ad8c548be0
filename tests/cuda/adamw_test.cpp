#include "kernels/cuda/adamw.h"

#include <array>
#include <cmath>

#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

TensorSpec flat(int64_t count) { return {{count}, DType::f32}; }

struct Setting {
  double lr = double(1e-2f), scale = 0.5;
  int t = 7;
  cuda::AdamWArgs rates = {.eps = 1e-8, .weight_decay = 0.1};

  std::vector<float> hyper() const {
    return {float(lr), float(1 / (1 - std::pow(rates.beta1, t))),
            float(1 / (1 - std::pow(rates.beta2, t))), 0};
  }
};

// g, p, m, v on the device.
struct Shard {
  OnDevice<float> g, p, m, v;

  explicit Shard(const std::array<Tensor, 4>& t) : g(t[0]), p(t[1]), m(t[2]), v(t[3]) {}
  void step(const Setting& s) const {
    const DeviceArray<float> hyper(s.hyper()), scale(std::vector<float>{float(s.scale)});
    cuda::AdamWArgs a = s.rates;
    a.g = g.data(), a.hyper = hyper.data(), a.scale = scale.data();
    a.p = p.data(), a.m = m.data(), a.v = v.data(), a.count = g.size();
    cuda::adamw(a, nullptr);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }
};

std::array<Tensor, 4> state(int64_t count) {
  Tensor v = random_tensor(flat(count), "v");
  for (int64_t i = 0; i < count; ++i) v.set(i, v.at(i) * v.at(i));
  return {random_tensor(flat(count), "g"), random_tensor(flat(count), "p"),
          random_tensor(flat(count), "m"), v};
}

// The paper's update of one parameter, in double.
struct Adam {
  double p = 0, m = 0, v = 0;
  double step(const Setting& s, double g) {  // returns the change of p, without the decay
    const std::vector<float> h = s.hyper();
    g *= s.scale;
    m = s.rates.beta1 * m + (1 - s.rates.beta1) * g;
    v = s.rates.beta2 * v + (1 - s.rates.beta2) * g * g;
    const double moved =
        s.lr * m * double(h[1]) / (std::sqrt(v) * std::sqrt(double(h[2])) + s.rates.eps);
    p -= moved + s.lr * s.rates.weight_decay * p;
    return moved;
  }
};

TEST(CudaAdamW, IsThePapersInDouble) {
  for (const int64_t count : {1, 3, 4, 1027})
    in_every_schedule([&] {
      const auto before = state(count);
      const Setting s;
      const Shard shard(before);
      shard.step(s);
      const Tensor p = shard.p.tensor(), m = shard.m.tensor(), v = shard.v.tensor();
      for (int64_t i = 0; i < count; ++i) {
        const double g = before[0].at(i), p0 = before[1].at(i);
        Adam want{p0, before[2].at(i), before[3].at(i)};
        const double largest = std::fabs(want.m) + std::fabs(s.scale * g);
        const double moved = want.step(s, g), root = std::sqrt(want.v) + s.rates.eps;
        // Roundings of g', the difference, the rate and the sum; v has one more, of g'².
        const double m_error = 4 * kHalf * largest, v_error = 5 * kHalf * (want.v + g * g);
        ASSERT_LE(std::fabs(m.at(i) - want.m), m_error) << i;
        ASSERT_LE(std::fabs(v.at(i) - want.v), v_error) << i;
        // p: half of v's relative error, from the root; m's error; eight roundings of the quotient
        // and its factors; and two of p.
        const double error = std::fabs(moved) * (v_error / want.v + 8 * kHalf) +
                             2 * s.lr * m_error / root + 2 * kHalf * (std::fabs(p0) + s.lr);
        ASSERT_LE(std::fabs(p.at(i) - want.p), error) << i;
      }
    });
}

// A constant gradient moves p by lr·g/(|g| + eps) in each step. From 1e-22 down v is denormal;
// kernels/adamw.h bounds the effect on the root, √(h/2·(3 − beta2)/(1 − beta2)).
TEST(CudaAdamW, TinyGradientsAreNotFlushed) {
  Setting s{.lr = double(1e-3f), .scale = 1, .t = 1, .rates = {}};
  const double eps = s.rates.eps, beta2 = s.rates.beta2;
  const double lost = std::sqrt(std::ldexp(1.0, -150) * (3 - beta2) / (1 - beta2));
  for (const double size : {1e-17, 4.8e-19, 1e-20, 1e-21, 1e-22, 1e-24})
    in_every_schedule([&] {
      const double g = double(float(size));
      const Tensor zero(flat(5), std::byte{0});
      const Shard shard({Tensor(flat(5), std::vector<double>(5, g)), zero, zero, zero});
      Adam want;
      for (s.t = 1; s.t <= 10; ++s.t) {
        const double before = shard.p.tensor().at(0), expected_before = want.p;
        shard.step(s);
        want.step(s, g);
        const auto p = shard.p.tensor().values();
        const double moved = p[0] - before, expected = want.p - expected_before;
        const double bound = std::fabs(expected) * (lost / (g + eps - lost) + 64 * kHalf) +
                             2 * kHalf * std::fabs(want.p);
        EXPECT_LE(std::fabs(moved - expected), bound) << "|g| " << size << " step " << s.t;
        for (const double other : p) ASSERT_EQ(other, p[0]);
      }
    });
}

TEST(CudaAdamW, AScaleThatIsNotFiniteChangesNothing) {
  for (const double scale : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    in_every_schedule([&] {
      const auto before = state(6);
      const Shard shard(before);
      shard.step({.scale = scale});
      EXPECT_EQ(shard.p.tensor().bytes, before[1].bytes);
      EXPECT_EQ(shard.m.tensor().bytes, before[2].bytes);
      EXPECT_EQ(shard.v.tensor().bytes, before[3].bytes);
    });
}

TEST(CudaAdamW, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const int64_t count : {1024, 2051})
    in_every_schedule([&] {
      const Shard shard(state(count));
      reset_traffic();
      shard.step({});
      const Traffic t = traffic();
      const auto n = uint64_t(count), warps = (n / 4 + 1 + 255) / 256 * 8;
      EXPECT_EQ(t.read, 16 * n + 16);
      EXPECT_EQ(t.read_requested, 16 * n + 16 * (count % 4 == 0 ? n / 4 / 32 : warps));
      EXPECT_EQ(t.written, 12 * n);
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_LE(t.sectors - t.fewest_sectors, 3 * warps);  // hyper, scale and left-over elements
    });
}

}  // namespace
}  // namespace birkhoff::testing
