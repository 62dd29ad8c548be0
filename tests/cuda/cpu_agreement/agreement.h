#pragma once
// A kernel on the device and the CPU's operator, of the same bits, compared with each other.
//
// Each is off the exact result by roundings that are known: their sum is how far `apart` the two
// may be before they store. Results in f32 and f64 are no further apart than that. A bf16 is
// rounded once by each side, half a unit of its last place: a unit more in all. But two values that
// are close are rounded to the same bf16 unless a border lies between them, which of values at any
// distance from the borders is so for a share of apart/ulp, and then they differ by a unit:
// Σ(device − cpu)² is Σ apart·(apart + ulp), and not the 2/12·Σ ulp² of two roundings that know
// nothing of each other. What is too little to show in one element, as a second rounding is, shows
// in all of them. Where both do the same there is no bound but the bits: a sum in another order,
// which is as right beside fp64, is seen.
//
// Schedules, races and bytes are the business of the other tests: here each call runs once, and
// under the checker, which is slow, none that is wide.
#include "kernels/features.h"
#include "kernels/rms_norm.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {

constexpr double kUnit = 2 * kHalf;  // of the last place of an f32, relative

// What a backend's arithmetic leaves of the exact result, relative to the terms.
struct Arithmetic {
  double sum;     // of products over a row of C channels
  double pulled;  // of a term of dz·wᵀ
  double outer;   // of a term of vᵀ·dz
};

// A lane has a 32nd of the row, then come at most 14 additions of lanes and warps. Two factors of
// tf32; two bf16 for dz (docs/kernels.md).
inline Arithmetic device_arithmetic(int64_t width) {
  return {kHalf * (double(width) / 32 + 14), 2 * 0x1p-11, 0x1p-16};
}
// mHC's backward by clusters: 8 lanes a stream, two more additions, then the warps of 8 blocks that
// have channels, 16 or 32 each; w as one bf16 in dz·wᵀ, and dz as two.
inline Arithmetic cluster_arithmetic(int64_t width) {
  return {kHalf * (double(width) / 16 + 18), kStored + 0x1p-16, 0x1p-16};
}
// A lane of 8 (AVX2) or more has an 8th of the row, then come at most 16 additions; by pairs each
// of 16 lanes has two roundings for two channels. Two factors of bf16 where pairs are multiplied
// (kernels/mhc.h); dphi is of f32.
inline Arithmetic cpu_arithmetic(int64_t width, bool pairs) {
  return {kHalf * (double(width) / 8 + 16), pairs ? 2 * kStored : 0, 0};
}

// The CPU's bodies for pairs of bf16 while this lives, or those without. On a processor that has
// none both are the same.
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

// Of a bf16 as large as `value`: 8 bits of significand.
inline double bf16_unit(double value) {
  return std::ldexp(1.0, std::max(std::ilogb(value == 0 ? 0x1p-126 : value), -126) - 7);
}

// Element by element; of bf16 in sum as well, where the number of those with a border between them
// is a count of what is rare: √E of spread, and some where less than one is expected.
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

// The same multiply-adds in the same order, so each bit. AVX2 has them in hardware; without them
// the CPU's bodies round a product before they add it.
inline void expect_same(const Tensor& device, const Tensor& cpu, const char* name) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    GTEST_SKIP() << "needs a processor with FMA";
  EXPECT_TRUE(device.bytes == cpu.bytes) << name << ": other bits";
}

// y and rstd of an RMSNorm of the same rows; `relative`: what the device's rstd may be off. The CPU
// has an 8th of the squares in a lane, of which rstd gets half. y has two products of either side.
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
