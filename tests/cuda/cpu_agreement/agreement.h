#pragma once
// Compares a kernel on the device with the CPU's operator, on the same input bits.
//
// The roundings of each against the exact result are known; their sum is how far `apart` the two
// may be before they store. Results in f32 and f64 are no further apart than that. A bf16 is
// rounded once by each side, by half an ulp, which adds an ulp in all. But two close values round
// to the same bf16 unless a rounding boundary lies between them. For evenly spread values that is
// so in a fraction apart/ulp of cases, and then they differ by an ulp. So Σ(device − cpu)² is
// Σ apart·(apart + ulp), not the 2/12·Σ ulp² of two independent roundings. An error too small to
// show in one element, such as a second rounding, shows in this sum. Where both sides do the same
// arithmetic the bits must be equal, which also shows a sum in another order that is as accurate.
//
// Other tests cover schedules, races and bytes. Here each call runs once, and under the checker,
// which is slow, wide cases are skipped.
#include "kernels/features.h"
#include "kernels/rms_norm.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {

constexpr double kUnit = 2 * kHalf;  // an ulp of an f32, relative

// Error bounds of a backend's arithmetic, relative to the terms.
struct Arithmetic {
  double sum;     // a sum of products over a row of C channels
  double pulled;  // a term of dz·wᵀ
  double outer;   // a term of vᵀ·dz
};

// A lane has a 32nd of the row, and at most 14 additions over lanes and warps follow. In dz·wᵀ both
// factors are tf32; in vᵀ·dz dz is two bf16 (docs/kernels.md).
inline Arithmetic device_arithmetic(int64_t width) {
  return {kHalf * (double(width) / 32 + 14), 2 * 0x1p-11, 0x1p-16};
}
// mHC's backward by clusters: 8 channels in a lane, two more additions, then the warps of 8 blocks,
// which have 16 or 32 channels each; in dz·wᵀ w is one bf16, and dz is two.
inline Arithmetic cluster_arithmetic(int64_t width) {
  return {kHalf * (double(width) / 16 + 18), kStored + 0x1p-16, 0x1p-16};
}
// Each of 8 (AVX2) or more lanes has an 8th of the row, and at most 16 additions follow; with pairs
// each of 16 lanes has two roundings for two channels. Where pairs are multiplied, both factors of
// dz·wᵀ are bf16 (kernels/mhc.h); dphi uses f32.
inline Arithmetic cpu_arithmetic(int64_t width, bool pairs) {
  return {kHalf * (double(width) / 8 + 16), pairs ? 2 * kStored : 0, 0};
}

// Allows or forbids the CPU's bodies for pairs of bf16 during its lifetime. On a processor without
// such instructions it has no effect.
class Pairs {
 public:
  explicit Pairs(bool allowed) {
    if (!allowed) pretend_features(Features());
  }
  ~Pairs() { pretend_features({}); }
  Pairs(const Pairs&) = delete;
  Pairs& operator=(const Pairs&) = delete;
};

inline void once(int64_t width, const std::function<void()>& test) {
  if (!has_checker() || width <= 264) in_one_schedule(test);
}

inline Tensors on_cpu(const Operator& op, const Tensors& in, const Desc& desc) {
  return run(op, in, desc, {.device = Device::cpu});
}

inline Tensor zeros(const TensorSpec& of) {
  return Tensor({of.shape, DType::f64}, std::vector<double>(size_t(of.count()), 0.0));
}
inline void add_to(Tensor& t, int64_t i, double value) { t.set(i, t.at(i) + value); }

// The ulp of a bf16, which has 8 significant bits, as large as `value`.
inline double bf16_unit(double value) {
  return std::ldexp(1.0, std::max(std::ilogb(value == 0 ? 0x1p-126 : value), -126) - 7);
}

// Checks element by element; for bf16 also the sum of squares. The number of elements with a
// rounding boundary between the two values is a count of rare events: it has a spread of √E, plus a
// few where less than one is expected.
inline void expect_apart(const Tensor& device, const Tensor& cpu, const Tensor& apart,
                         const char* name) {
  ASSERT_EQ(device.spec.dtype, cpu.spec.dtype) << name;
  ASSERT_EQ(device.spec.count(), cpu.spec.count()) << name;
  const bool stored = device.spec.dtype == DType::bf16;
  double squares = 0, expected = 0, largest = 0;
  for (int64_t i = 0; i < device.spec.count(); ++i) {
    const double d = device.at(i), c = cpu.at(i), off = apart.at(i);
    const double unit = stored ? bf16_unit(std::max(std::fabs(d), std::fabs(c))) : 0;
    ASSERT_LE(std::fabs(d - c), off + unit) << name << " " << i << ": " << d << ", " << c;
    squares += (d - c) * (d - c), expected += off * (off + unit), largest = std::max(largest, unit);
  }
  if (stored) {
    EXPECT_LE(squares, expected + 6 * largest * std::sqrt(expected) + 9 * largest * largest)
        << name << ": too many are rounded to another bf16";
  }
}

// Expects equal bits, for the same FMAs in the same order. AVX2 processors have FMA in hardware;
// without it the CPU's bodies round a product before adding it.
inline void expect_same(const Tensor& device, const Tensor& cpu, const char* name) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    GTEST_SKIP() << "needs a processor with FMA";
  EXPECT_TRUE(device.bytes == cpu.bytes) << name << ": other bits";
}

// Checks y and rstd of an RMSNorm of the same rows. relative: error bound of the device's rstd. The
// CPU sums an 8th of the squares in a lane, and rstd gets half of that error. y has two products on
// each side.
inline void expect_normed(const Tensor& y, const Tensor& rstd, const Tensors& cpu,
                          double relative) {
  const int64_t width = y.spec.count() / rstd.spec.count();
  const double both = relative + kHalf * (double(width) / 16 + 16);
  Tensor of_y = zeros(y.spec), of_rstd = zeros(rstd.spec);
  for (int64_t i = 0; i < y.spec.count(); ++i)
    of_y.set(i, (both + 4 * kHalf) * std::fabs(cpu[RmsNorm::y].at(i)));
  for (int64_t t = 0; t < rstd.spec.count(); ++t) of_rstd.set(t, both * cpu[RmsNorm::rstd].at(t));
  expect_apart(rstd, cpu[RmsNorm::rstd], of_rstd, "rstd");
  expect_apart(y, cpu[RmsNorm::y], of_y, "y");
}

}  // namespace birkhoff::testing
