#include "kernels/norm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <new>

#include "kernels/cpu/result_of.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include "kernels/cpu/targets.h"
// after it:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// A float is m·2^(e − 150) with m < 2^24 and e ≥ 1: its square is m² at an exponent that only e
// decides. Of a block whose largest exponent is `top`, squares of the kSpan exponents below go to
// sums in units of 2^(2·(top − kSpan − 150)), as two integers, m² mod 2^24 and m² / 2^24: a term is
// below 2^(24 + 2·kSpan), and one of four or more lanes takes kBlock / 4 of each at most: no bit is
// lost. A vector that holds smaller ones gives them to a second pair of sums, of the kSpan + 1
// exponents below those: rows of one weight's gradient differ by that much. What is smaller still
// is added one by one.
constexpr int64_t kBlock = 8192;
constexpr uint32_t kSpan = 14;
static_assert(24 + 2 * kSpan + 11 < 64 && kBlock / 4 == 1 << 11);

#if HWY_TARGET == HWY_SCALAR
void AddSquares(const float* g, int64_t count, FloatSum& sum) {
  for (int64_t i = 0; i < count; ++i) sum.add_square(g[i]);
}
#else
using Bits = hn::RebindToUnsigned<Tag>;
using Wide = hn::RepartitionToWide<Bits>;

HWY_INLINE hn::Vec<Bits> magnitudes(const float* g) {
  const Tag d;
  return hn::BitCast(Bits(), hn::Abs(hn::LoadU(d, g)));
}

// Squares of the exponents top − kSpan … top, two lanes of the halves' sums.
struct SquareSums {
  uint32_t top;
  hn::Vec<Wide> low = hn::Zero(Wide()), high = hn::Zero(Wide());

  // Of significands whose exponents are `below` under top, 0 where that is more than kSpan.
  HWY_INLINE void add(hn::Vec<Bits> m, hn::Vec<Bits> below) {
    const Bits d;
    const Wide w;
    const auto span = hn::Set(d, kSpan), room = hn::Sub(span, hn::Min(below, span));
    const auto shift = hn::BitCast(w, hn::Add(room, room));
    add_even(m, hn::And(shift, hn::Set(w, 0xFFFFFFFFull)));
    add_even(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(w, m))), hn::ShiftRight<32>(shift));
  }
  HWY_INLINE void add_even(hn::Vec<Bits> m, hn::Vec<Wide> shift) {
    const Wide w;
    const auto square = hn::MulEven(m, m);
    low = hn::Add(low, hn::Shl(hn::And(square, hn::Set(w, 0xFFFFFFull)), shift));
    high = hn::Add(high, hn::Shl(hn::ShiftRight<24>(square), shift));
  }
  void add_to(FloatSum& sum) const {
    const Wide w;
    HWY_ALIGN uint64_t lane[2][hn::MaxLanes(w)];
    hn::Store(low, w, lane[0]), hn::Store(high, w, lane[1]);
    const int exponent = 2 * (int(top) - int(kSpan) - 150);
    for (int64_t k = 0; k < int64_t(hn::Lanes(w)); ++k) {
      if (lane[0][k] != 0) sum.add_integer(lane[0][k], exponent);
      if (lane[1][k] != 0) sum.add_integer(lane[1][k], exponent + 24);
    }
  }
};

// Whole vectors of one block, all finite. Units below the last limb are not needed (no square has
// such bits): so `top` is kept above kSpan.
HWY_INLINE void add_block(const float* g, int64_t count, uint32_t largest, FloatSum& sum) {
  const Bits d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  const auto any = [&](auto mask) HWY_ATTR { return !hn::AllFalse(d, mask); };
  SquareSums upper{.top = std::max(largest, 2 * kSpan + 2)}, lower{.top = upper.top - kSpan - 1};
  for (int64_t i = 0; i < count; i += lanes) {
    const auto bits = magnitudes(g + i), one = hn::Set(d, 1u);
    const auto stored = hn::ShiftRight<23>(bits), e = hn::Max(stored, one);
    const auto implicit = hn::ShiftLeft<23>(hn::Min(stored, one));
    const auto m = hn::Or(hn::And(bits, hn::Set(d, 0x7FFFFFu)), implicit);
    const auto below = hn::Sub(hn::Set(d, upper.top), e);
    const auto far = hn::Gt(below, hn::Set(d, kSpan));
    upper.add(hn::IfThenZeroElse(far, m), below);
    if (HWY_LIKELY(!any(hn::And(far, hn::Ne(m, hn::Zero(d)))))) continue;
    const auto under =
        hn::Sub(below, hn::Set(d, kSpan + 1));  // wraps round where not far: is 0 then
    const auto farther = hn::Gt(under, hn::Set(d, kSpan));
    lower.add(hn::IfThenElseZero(far, hn::IfThenZeroElse(farther, m)), under);
    if (HWY_LIKELY(!any(hn::And(hn::And(far, farther), hn::Ne(m, hn::Zero(d)))))) continue;
    for (int64_t k = i; k < i + lanes; ++k) {
      const uint32_t exponent = std::max(std::bit_cast<uint32_t>(g[k]) >> 23 & 0xFF, 1u);
      if (exponent + kSpan < lower.top) sum.add_square(g[k]);
    }
  }
  upper.add_to(sum), lower.add_to(sum);
}

void AddSquares(const float* g, int64_t count, FloatSum& sum) {
  const Bits d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin), whole = size / lanes * lanes;
    auto largest = hn::Zero(d);
    for (int64_t i = 0; i < whole; i += lanes)
      largest = hn::Max(largest, magnitudes(g + begin + i));
    const uint32_t most = hn::GetLane(hn::MaxOfLanes(d, largest)) >> 23;
    int64_t done = 0;
    if (most != 0xFF) add_block(g + begin, whole, most, sum), done = whole;
    for (int64_t i = done; i < size; ++i) sum.add_square(g[begin + i]);
  }
}
#endif

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(AddSquares);

void squared_sum(const Args& a) {
  const int64_t count = a.count(SquaredSum::g);
  const float* g = a.in<float>(SquaredSum::g);
  FloatSum* parts = a.shared_workspace<FloatSum>();
  a.team().ranges(count, kSquaredSumTask, [&](int64_t begin, int64_t end, int) {
    HWY_DYNAMIC_DISPATCH(AddSquares)
    (g + begin, end - begin, *new (parts + begin / kSquaredSumTask) FloatSum);
  });
  FloatSum sum;
  for (int64_t i = 0; i * kSquaredSumTask < count; ++i) sum.merge(parts[i]);
  sum.carry();
  const ResultOf<int64_t> acc(a, SquaredSum::acc);
  for (int64_t k = 0; k < kFloatLimbs; ++k) acc.set(k, sum.limbs()[size_t(k)]);
  acc.set(kFloatLimbs, sum.nonfinite());
}

void clip_scale(const Args& a) {
  const int64_t* acc = a.in<int64_t>(ClipScale::acc);
  const double max_norm = a.desc<ClipScale::Desc>().max_norm;
  const double norm = std::sqrt(FloatSum::from(acc, acc[kFloatLimbs]).value());
  double scale = 1;
  if (std::isnan(norm))
    scale = norm;
  else if (max_norm > 0 && norm > max_norm)
    scale = max_norm / norm;
  ResultOf<float>(a, ClipScale::scale).set(0, float(scale));
  ResultOf<double>(a, ClipScale::norm).set(0, norm);
}

}  // namespace birkhoff::cpu
#endif
