#include "base/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace birkhoff {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The oracle: a signed bit string that spans the whole range of double, added bit by bit in two's
// complement. Rounds by comparing candidates exactly instead of by guard and sticky bits.
class BitSum {
 public:
  void add(double x) {
    if (x == 0) return;
    int exponent = 0;
    double m = std::frexp(std::abs(x), &exponent);
    std::vector<bool> term(kBits);
    for (int i = 0; i < 53 && m != 0; ++i) {
      m *= 2, --exponent;
      if (m >= 1) term[size_t(exponent + kPoint)] = true, m -= 1;
    }
    add(x < 0 ? negated(term) : term);
  }
  // Adds the square of a float: its 48 bits are exact in a double, whatever the exponent.
  void add_square(float x) { add(double(x) * double(x)); }

  bool negative() const { return bits_[kBits - 1]; }
  // The double nearest to the sum: of the doubles below and above, the closer, or the even one on a
  // tie.
  double value() const {
    const auto magnitude = negative() ? negated(bits_) : bits_;
    double below = 0;
    for (int i = kBits - 1; i >= 0; --i) {
      if (!magnitude[size_t(i)]) continue;
      const double unit = std::ldexp(1.0, i - kPoint), more = below + unit;
      BitSum exact;
      exact.add(below), exact.add(unit), exact.add(-more);
      if (exact.is_zero())
        below = more;  // more than 53 bits are never exact
      else
        break;
    }
    const double above = std::nextafter(below, kInfinity);
    const auto rest = [&](double candidate) {
      BitSum r;
      r.bits_ = magnitude;
      r.add(-candidate);
      return r;
    };
    BitSum down = rest(below), up = rest(above);  // down ≥ 0 ≥ up
    BitSum difference = down;
    difference.add(up.bits_);  // (s − below) − (above − s)
    const bool tie = difference.is_zero(), even = !(std::bit_cast<uint64_t>(below) & 1);
    const double nearest = difference.negative() || (tie && even) ? below : above;
    return negative() ? -nearest : nearest;
  }

 private:
  static constexpr int kPoint = 1100, kBits = 2200;
  static std::vector<bool> negated(std::vector<bool> bits) {
    bits.flip();
    for (size_t i = 0; i < bits.size(); ++i) {
      bits[i] = !bits[i];
      if (bits[i]) break;
    }
    return bits;
  }
  void add(const std::vector<bool>& term) {
    bool carry = false;
    for (size_t i = 0; i < kBits; ++i) {
      const int sum = bits_[i] + term[i] + carry;
      bits_[i] = sum & 1, carry = sum > 1;
    }
  }
  bool is_zero() const { return std::find(bits_.begin(), bits_.end(), true) == bits_.end(); }
  std::vector<bool> bits_ = std::vector<bool>(kBits);
};

template <class Sum>
double total(const std::vector<double>& terms) {
  Sum sum;
  for (const double x : terms) sum.add(x);
  return sum.value();
}

// Terms of very different magnitude, with neighbours that cancel except for a few bits.
std::vector<double> terms(std::string_view name, int count, int spread, bool floats) {
  const Random random(3, name);
  std::vector<double> all;
  for (int i = 0; i < count; ++i) {
    const int exponent = int(random.below(uint64_t(i), uint64_t(2 * spread))) - spread;
    double x = std::ldexp(double(random.normal(uint64_t(count + i))), exponent);
    if (i % 3 == 1) x = -all.back() * (1 + 1e-7);
    all.push_back(floats ? double(float(x)) : x);
  }
  return all;
}

TEST(ExactSum, RoundsTheExactSumToNearest) {
  for (const auto& [spread, floats] : {std::pair{3, true}, {90, true}, {3, false}, {900, false}}) {
    const auto all = terms("exact", 60, spread, floats);
    for (const size_t count : {1, 2, 3, 17, 60}) {
      BitSum want;
      for (size_t i = 0; i < count; ++i) want.add(all[i]);
      const std::vector<double> part(all.begin(), all.begin() + long(count));
      EXPECT_EQ(total<DoubleSum>(part), want.value()) << spread << " " << count;
      if (!floats) continue;
      EXPECT_EQ(total<FloatSum>(part), want.value()) << spread << " " << count;
    }
  }
}

TEST(ExactSum, TiesGoToEven) {
  const double ulp = std::ldexp(1.0, -52);
  EXPECT_EQ(total<FloatSum>({1, ulp / 2}), 1);
  EXPECT_EQ(total<FloatSum>({1 + ulp, ulp / 2}), 1 + 2 * ulp);
  EXPECT_EQ(total<FloatSum>({1, ulp / 2, std::ldexp(1.0, -140)}), 1 + ulp);  // beyond the tie
  EXPECT_EQ(total<FloatSum>({-1, -ulp / 2, -std::ldexp(1.0, -140)}), -1 - ulp);
  EXPECT_EQ(total<FloatSum>({2, -ulp / 2}), 2);
  EXPECT_EQ(total<FloatSum>({2, -ulp}), 2 - ulp);
}

TEST(ExactSum, RoundsOnceWhereDoubleIsDenormal) {
  // Rounded to 53 bits first, 2^-1088 would vanish and leave a tie at 2^-1074, which then vanishes
  // too.
  DoubleSum sum;
  for (const int exponent : {-1035, -1075, -1088}) sum.add_integer(1, exponent);
  EXPECT_EQ(sum.value(), std::ldexp(1.0, -1035) + std::ldexp(1.0, -1074));
}

TEST(ExactSum, KeepsWhatHugeTermsHide) {
  EXPECT_EQ(total<DoubleSum>({1e308, 5e-324, 1e308, -1e308, -1e308}), 5e-324);
  EXPECT_EQ(total<DoubleSum>({1e308, 1e308}), kInfinity);
  EXPECT_EQ(total<DoubleSum>({-1e308, -1e308}), -kInfinity);
  EXPECT_EQ(total<DoubleSum>({1e308, 1e308, -1e308}), 1e308);
  EXPECT_EQ(total<FloatSum>({3e38, 1e-45, -3e38}), 1e-45);
  EXPECT_EQ(total<DoubleSum>({}), 0);
  EXPECT_EQ(total<DoubleSum>({0.0, -0.0}), 0);
}

TEST(ExactSum, OrderAndPartitionChangeNoBit) {
  auto all = terms("order", 997, 60, true);
  FloatSum forward, parts[3], merged;
  for (size_t i = 0; i < all.size(); ++i) forward.add(all[i]), parts[i % 3].add(all[i]);
  std::reverse(all.begin(), all.end());
  for (const int part : {2, 0, 1}) merged.merge(parts[part]);
  EXPECT_EQ(total<FloatSum>(all), forward.value());
  EXPECT_EQ(merged.value(), forward.value());
  merged.carry(), forward.carry();
  EXPECT_EQ(merged.limbs(), forward.limbs()) << "canonical limbs are unique";
  EXPECT_EQ(FloatSum::from(merged.limbs().data(), 0).value(), forward.value());
}

TEST(ExactSum, SquaresOfEveryExponent) {
  const Random random(3, "squares");
  FloatSum sum;
  BitSum want;
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    const uint32_t fraction = uint32_t(random.bits(exponent)) & 0x7FFFFF;
    const float x = std::bit_cast<float>(exponent << 23 | fraction | exponent % 2 << 31);
    sum.add_square(x), want.add_square(x);
    EXPECT_EQ(sum.value(), want.value()) << exponent;
  }
  FloatSum smallest;
  smallest.add_square(std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(smallest.value(), std::ldexp(1.0, -298));
  FloatSum largest;
  for (int i = 0; i < 3; ++i) largest.add_square(std::numeric_limits<float>::max());
  const double max = std::numeric_limits<float>::max();
  EXPECT_EQ(largest.value(), 3 * max * max);
}

TEST(ExactSum, CarriesBeforeALimbOverflows) {
  // 2^30 additions of 2^32 − 1 to a limb are the most that raw additions may reach.
  std::array<int64_t, kFloatLimbs> limbs{};
  const int64_t most = 0xFFFFFFFF * (int64_t{1} << 30);
  limbs[3] = limbs[4] = most;
  const double want = double(most) * (std::ldexp(1.0, -224) + std::ldexp(1.0, -192));
  EXPECT_EQ(FloatSum::from(limbs.data(), 0).value(), want);
  limbs[3] = limbs[4] = -most;
  EXPECT_EQ(FloatSum::from(limbs.data(), 0).value(), -want);
}

TEST(ExactSum, CountsWhatIsNotFinite) {
  FloatSum sum;
  sum.add(1), sum.add_square(std::numeric_limits<float>::infinity());
  sum.add(std::nan("")), sum.add(-kInfinity), sum.add_square(std::nanf(""));
  EXPECT_EQ(sum.nonfinite(), 4);
  EXPECT_TRUE(std::isnan(sum.value()));
  FloatSum other;
  other.merge(sum);
  EXPECT_EQ(other.nonfinite(), 4);
}

TEST(ExactSum, RefusesTermsOutsideItsRange) {
  FloatSum sum;
  EXPECT_THROW(sum.add(1e-300), InternalError);
  EXPECT_THROW(sum.add(1e300), InternalError);
}

}  // namespace
}  // namespace birkhoff
