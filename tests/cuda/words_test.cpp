// Each function ("word") of the device vocabulary behaves as CUDA's documentation says.
#include "tests/cuda/kernels/words.h"

#include <bit>
#include <cmath>

#include "base/rng.h"
#include "tests/cuda/layouts.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

using cuda::kWarp;

TEST(Words, ShufflesAndVotes) {
  in_every_schedule([] {
    const DeviceArray<float> out(4 * kWarp);
    const DeviceArray<unsigned> votes(3 * kWarp);
    run_exchanges(out.data(), votes.data(), nullptr);
    const auto v = out.values();
    const auto square = [](int lane) { return float(lane * lane); };
    for (int lane = 0; lane < int(kWarp); ++lane) {
      EXPECT_EQ(v[size_t(lane)], square(31 - lane));
      EXPECT_EQ(v[kWarp + size_t(lane)], square(lane ^ 5));
      EXPECT_EQ(v[2 * kWarp + size_t(lane)], square(lane < 3 ? lane : lane - 3));
      EXPECT_EQ(v[3 * kWarp + size_t(lane)], square(lane > 28 ? lane : lane + 3));
    }
    const auto said = votes.values();
    for (size_t lane = 0; lane < kWarp; ++lane) {
      EXPECT_EQ(said[lane], 0xAAAAAAAAu);
      EXPECT_EQ(said[kWarp + lane], 1u);
      EXPECT_EQ(said[2 * kWarp + lane], 0u);
    }
  });
}

TEST(Words, HalvesOfAWarpHaveMasksOfTheirOwn) {
  in_every_schedule([] {
    const DeviceArray<float> out(kWarp);
    run_half_warp_sums(out.data(), nullptr);
    const auto v = out.values();
    for (size_t lane = 0; lane < kWarp; ++lane) EXPECT_EQ(v[lane], lane < 16 ? 120.0f : 376.0f);
  });
}

TEST(Words, SharedMemoryAndBarriers) {
  in_every_schedule([] {
    for (const int n : {1, 31, 64, 257, 1024}) {
      std::vector<float> values;
      for (int i = 0; i < n; ++i) values.push_back(float(i));
      const DeviceArray<float> in(values), out(values.size());
      run_reverse(in.data(), out.data(), n, nullptr);
      std::vector<float> reversed(values.rbegin(), values.rend());
      EXPECT_EQ(out.values(), reversed);
    }
  });
}

// 4 KiB static and 46 KiB dynamic together exceed the default limit, but neither does alone.
TEST(Words, SharedMemoryOfDeclarationAndLaunch) {
  in_every_schedule([] {
    constexpr int kAdded = 46 * 1024 / sizeof(float);
    const DeviceArray<float> out(64);
    run_shared(out.data(), kAdded * sizeof(float), nullptr);
    const auto y = out.values();
    for (int i = 0; i < 64; ++i) EXPECT_EQ(y[size_t(i)], float(kAdded - 1 - i - 2 * (1023 - i)));
  });
}

TEST(Words, AsynchronousCopies) {
  in_every_schedule([] {
    for (const int n : {2, 16, 30, 512, 1000, 3 * 512}) {
      std::vector<uint8_t> bytes;
      for (int i = 0; i < n; ++i) bytes.push_back(uint8_t(1 + i % 251));
      const DeviceArray<uint8_t> in(bytes), out(size_t(n + 15) / 16 * 16);
      run_copy_async(in.data(), out.data(), n, nullptr);
      bytes.resize(out.size(), 0);
      EXPECT_EQ(out.values(), bytes);
    }
  });
}

TEST(Layouts, Ldmatrix) {
  in_every_schedule([] {
    std::vector<uint16_t> values;  // 4 matrices of 8×8: 100·matrix + 8·row + column
    for (int i = 0; i < 4 * 64; ++i) values.push_back(uint16_t(100 * (i / 64) + i % 64));
    const DeviceArray<uint16_t> in(values);
    for (const bool transposed : {false, true}) {
      const DeviceArray<uint32_t> out(4 * kWarp);
      run_ldmatrix(in.data(), out.data(), transposed, nullptr);
      const auto r = out.values();
      for (int lane = 0; lane < int(kWarp); ++lane)
        for (int matrix = 0; matrix < 4; ++matrix)
          for (int h = 0; h < 2; ++h) {
            const Place p = ldmatrix(lane, h, transposed);
            const uint32_t got = r[size_t(4 * lane + matrix)] >> 16 * h & 0xFFFF;
            EXPECT_EQ(got, uint32_t(100 * matrix + 8 * p.row + p.column)) << lane << " " << matrix;
          }
    }
  });
}

// Small integers, so that every product and sum is exact and one misplaced element shows.
struct Matrices {
  int depth;
  std::vector<float> a, b, d;  // [16, depth], [depth, 8], [16, 8]

  explicit Matrices(int k) : depth(k), a(size_t(16 * k)), b(size_t(k * 8)), d(16 * 8) {
    const Random random(3, "matrices");
    uint64_t i = 0;
    for (auto* m : {&a, &b, &d})
      for (float& x : *m) x = float(random.below(i++, 17)) - 8;
  }
  float& a_at(Place p) { return a[size_t(p.row * depth + p.column)]; }
  float& b_at(Place p) { return b[size_t(p.row * 8 + p.column)]; }
  float& d_at(Place p) { return d[size_t(p.row * 8 + p.column)]; }
  float product(Place p) {
    double sum = d_at(p);
    for (int k = 0; k < depth; ++k) sum += double(a_at({p.row, k})) * b_at({k, p.column});
    return float(sum);
  }
};

void set_half(uint32_t& pair, int h, float x) { pair |= uint32_t(to_bf16(x).bits) << 16 * h; }

using Multiply = void (*)(const cuda::MmaA*, const cuda::MmaB*, cuda::MmaD*, cudaStream_t);
void check_product(Multiply run, Matrices& m, const std::vector<cuda::MmaA>& a,
                   const std::vector<cuda::MmaB>& b) {
  std::vector<cuda::MmaD> d(kWarp);
  for (int lane = 0; lane < int(kWarp); ++lane)
    for (int i = 0; i < 4; ++i) d[size_t(lane)].v[i] = m.d_at(mma_d(lane, i));
  const DeviceArray<cuda::MmaA> device_a(a);
  const DeviceArray<cuda::MmaB> device_b(b);
  const DeviceArray<cuda::MmaD> device_d(d);
  run(device_a.data(), device_b.data(), device_d.data(), nullptr);
  const auto got = device_d.values();
  for (int lane = 0; lane < int(kWarp); ++lane)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(got[size_t(lane)].v[i], m.product(mma_d(lane, i))) << lane << " " << i;
}

TEST(Layouts, MmaBf16) {
  in_every_schedule([] {
    Matrices m(16);
    std::vector<cuda::MmaA> a(kWarp);
    std::vector<cuda::MmaB> b(kWarp);
    for (int lane = 0; lane < int(kWarp); ++lane) {
      for (int i = 0; i < 8; ++i)
        set_half(a[size_t(lane)].r[i / 2], i % 2, m.a_at(bf16_a(lane, i)));
      for (int i = 0; i < 4; ++i)
        set_half(b[size_t(lane)].r[i / 2], i % 2, m.b_at(bf16_b(lane, i)));
    }
    check_product(run_mma_bf16, m, a, b);
  });
}

TEST(Layouts, MmaTf32) {
  in_every_schedule([] {
    Matrices m(8);
    std::vector<cuda::MmaA> a(kWarp);
    std::vector<cuda::MmaB> b(kWarp);
    for (int lane = 0; lane < int(kWarp); ++lane) {
      // Bits below tf32's 10 fraction bits must be ignored.
      for (int i = 0; i < 4; ++i)
        a[size_t(lane)].r[i] = std::bit_cast<uint32_t>(m.a_at(tf32_a(lane, i))) | 0x1FFF;
      for (int i = 0; i < 2; ++i)
        b[size_t(lane)].r[i] = std::bit_cast<uint32_t>(m.b_at(tf32_b(lane, i))) | 0x1FFF;
    }
    check_product(run_mma_tf32, m, a, b);
  });
}

// Rounds x to `bits` fraction bits, ties to even or away from zero.
double rounded(double x, int bits, bool ties_to_even) {
  const int exponent = std::ilogb(x);
  const double scaled = std::ldexp(x, bits - exponent);
  const double kept = ties_to_even ? std::nearbyint(scaled) : std::round(scaled);
  return std::ldexp(kept, exponent - bits);
}

TEST(Words, FunctionsAndConversions) {
  in_every_schedule([] {
    std::vector<float> x = {1.00390625f, 1.01171875f, 1.00048828125f, 1.00146484375f};  // ties
    const Random random(5, "functions");
    for (uint64_t i = 0; i < 200; ++i) x.push_back(0.01f + 5 * std::fabs(random.normal(i)));
    const size_t n = x.size();
    const DeviceArray<float> in(x), out(kFunctions * n);
    run_functions(in.data(), out.data(), int(n), nullptr);
    const auto y = out.values();
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(y[i], float(rounded(x[i], 7, true)));
      EXPECT_EQ(y[n + i], float(rounded(x[i], 10, false)));
      // The CUDA C++ Programming Guide: 2 + ⌊|1.16·x|⌋ ulp for __expf, 2 for rsqrtf and __fdividef.
      const double want[] = {std::exp(double(x[i])), 1 / std::sqrt(double(x[i])), 1 / double(x[i])};
      const double ulps[] = {2 + std::floor(1.16 * x[i]), 2, 2};
      for (size_t f = 0; f < 3; ++f)
        EXPECT_LE(std::fabs(y[(2 + f) * n + i] - want[f]), ulps[f] * std::ldexp(want[f], -23))
            << x[i] << " " << f;
    }
  });
}

}  // namespace
}  // namespace birkhoff::testing
