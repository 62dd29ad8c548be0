#include "base/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace birkhoff {
namespace {

constexpr int64_t kCarryAfter = int64_t{1} << 30;
constexpr int64_t kDigit = 0xFFFFFFFF;

}  // namespace

template <int kLimbs>
void ExactSum<kLimbs>::add_integer(uint64_t m, int exponent, bool negative) {
  const int bit = exponent + kPoint, limb = bit >> 5;
  check(bit >= 0 && limb + 2 < kLimbs, "2^{} is outside the range of an exact sum of {} limbs",
        exponent, kLimbs);
  const auto shifted = static_cast<unsigned __int128>(m) << (bit & 31);
  for (int i = 0; i < 3; ++i) {
    const int64_t digit = int64_t(uint64_t(shifted >> (32 * i)) & kDigit);
    limbs_[size_t(limb + i)] += negative ? -digit : digit;
  }
  if (++pending_ == kCarryAfter) carry();
}

template <int kLimbs>
void ExactSum<kLimbs>::add(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x), fraction = bits & ((uint64_t{1} << 52) - 1);
  const int exponent = int(bits >> 52) & 0x7FF;
  if (exponent == 0x7FF) {
    ++nonfinite_;
    return;
  }
  if (exponent == 0 && fraction == 0) return;
  const uint64_t m = exponent == 0 ? fraction : fraction | uint64_t{1} << 52;
  // Strips trailing zeros, so that the exponent of a widened float is that of its own lowest bit.
  const int zeros = std::countr_zero(m);
  add_integer(m >> zeros, std::max(exponent, 1) - 1075 + zeros, bits >> 63);
}

template <int kLimbs>
void ExactSum<kLimbs>::add_square(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), fraction = bits & 0x7FFFFF;
  const int exponent = int(bits >> 23) & 0xFF;
  if (exponent == 0xFF) {
    ++nonfinite_;
    return;
  }
  const uint64_t m = exponent == 0 ? fraction : fraction | 0x800000;
  add_integer(m * m, 2 * (std::max(exponent, 1) - 150));
}

template <int kLimbs>
void ExactSum<kLimbs>::merge(const ExactSum& other) {
  ExactSum canonical = other;
  canonical.carry();
  for (size_t k = 0; k < kLimbs; ++k) limbs_[k] += canonical.limbs_[k];
  nonfinite_ += other.nonfinite_;
  if (++pending_ == kCarryAfter) carry();
}

template <int kLimbs>
void ExactSum<kLimbs>::carry() {
  for (size_t k = 0; k + 1 < kLimbs; ++k) {
    limbs_[k + 1] += limbs_[k] >> 32;  // arithmetic: rounds towards −∞
    limbs_[k] &= kDigit;
  }
  pending_ = 0;
}

template <int kLimbs>
double ExactSum<kLimbs>::value() const {
  if (nonfinite_ > 0) return std::numeric_limits<double>::quiet_NaN();
  ExactSum sum = *this;
  sum.carry();
  const bool negative = sum.limbs_[kLimbs - 1] < 0;
  if (negative) {
    for (int64_t& limb : sum.limbs_) limb = -limb;
    sum.carry();
  }
  // The last limb may hold more than 32 bits: 63, from bit 32·(kLimbs − 1) on.
  const auto bit = [&](int i) {
    const int limb = std::min(i >> 5, kLimbs - 1);
    return i >= 0 && uint64_t(sum.limbs_[size_t(limb)]) >> (i - 32 * limb) & 1;
  };
  int top = 32 * (kLimbs - 1) + 62;
  while (top >= 0 && !bit(top)) --top;
  if (top < 0) return 0;
  // Keeps the 53 bits from `top` down, fewer where the double is denormal (its last bit is
  // 2^-1074).
  const int low = std::max({top - 52, kPoint - 1074, 0});
  uint64_t kept = 0;
  for (int i = top; i >= low; --i) kept = kept << 1 | uint64_t(bit(i));
  bool below = false;
  for (int i = low - 2; i >= 0 && !below; --i) below = bit(i);
  if (bit(low - 1) && (below || (kept & 1))) ++kept;
  const double magnitude = std::ldexp(double(kept), low - kPoint);
  return negative ? -magnitude : magnitude;
}

template <int kLimbs>
ExactSum<kLimbs> ExactSum<kLimbs>::from(const int64_t* limbs, int64_t nonfinite) {
  ExactSum sum;
  std::copy_n(limbs, kLimbs, sum.limbs_.begin());
  sum.nonfinite_ = nonfinite;
  sum.carry();
  return sum;
}

template class ExactSum<kFloatLimbs>;
template class ExactSum<68>;

}  // namespace birkhoff
