#pragma once
// An exact sum of floating-point numbers: a fixed-point integer wide enough for every term, so that
// no bit is lost and the order of the terms does not matter (a superaccumulator: Kulisch, Computer
// Arithmetic and Validity; Demmel & Nguyen, Fast Reproducible Floating-Point Summation). Threads
// and ranks may sum their parts in any order and merge by adding limbs; the result has the same
// bits.
//
//   FloatSum sum;  sum.add_square(x);  …  sum.value()        // rounded once, to nearest even
//
// Limb k is a signed 64-bit integer of weight 2^(32·(k − kLimbs/2)). A term adds less than 2^32 in
// magnitude to each limb, so 2^30 terms, or 2^30 sums after carry(), leave a factor of two to
// spare. The object carries by itself; code that adds raw limbs (an all-reduce) must keep within
// that count.
// Terms that are Inf or NaN are counted, not summed.
//
// Not synchronised. Trivially copyable.
#include <array>
#include <cstdint>

namespace birkhoff {

template <int kLimbs>
class ExactSum {
 public:
  // REQUIRES, for all three, a term m · 2^e with an integer m and −16·kLimbs ≤ e < 16·kLimbs − 64
  // (else InternalError).
  void add(double x);
  void add_square(float x);
  void add_integer(uint64_t m, int exponent, bool negative = false);  // ± m · 2^exponent

  void merge(const ExactSum& other);
  // Adds `count` ≥ 0 non-finite terms.
  void add_nonfinite(int64_t count) { nonfinite_ += count; }
  // Makes the limbs canonical: all but the last are in [0, 2^32), and the last has the sign.
  void carry();

  double value() const;  // NaN when a term was not finite, ±Inf beyond the range of double
  const std::array<int64_t, kLimbs>& limbs() const { return limbs_; }
  int64_t nonfinite() const { return nonfinite_; }
  static ExactSum from(const int64_t* limbs, int64_t nonfinite);

 private:
  static constexpr int kPoint = 16 * kLimbs;  // bits below the binary point

  std::array<int64_t, kLimbs> limbs_{};
  int64_t nonfinite_ = 0;
  int64_t pending_ = 0;  // additions since the last carry()
};

// Covers the values of f32 (2^-149 … 2^128) and their squares (2^-298 … 2^256): 2^±320.
inline constexpr int kFloatLimbs = 20;
using FloatSum = ExactSum<kFloatLimbs>;
// Covers the values of f64 (2^-1074 … 2^1024): 2^±1088.
using DoubleSum = ExactSum<68>;

extern template class ExactSum<kFloatLimbs>;
extern template class ExactSum<68>;

}  // namespace birkhoff
