#include "kernels/norm.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "kernels/bodies.h"
#include "kernels/cpu/result_of.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// How squares are summed exactly in doubles. A float is m·2^(e − 150) with m < 2^24 and e ≥ 1. If
// top − kSpan ≤ e ≤ top, then as a double times 2^(150 + kSpan − top) it is an integer v below
// 2^(24 + kSpan). v is hi·2^kHalf + lo, where both have kHalf bits, and v² = hi²·2^(2·kHalf) +
// 2·hi·lo·2^kHalf + lo². Of each of hi², hi·lo and lo² a lane adds at most kBlock / 4, all below
// 2^(2·kHalf), so doubles hold the sums to the last bit. Smaller elements of a vector go to other
// sums, for the kSpan + 1 exponents below, since rows of one weight's gradient differ by that much.
// Elements that are smaller still are added one by one.
constexpr int64_t kBlock = 8192;
constexpr int kSpan = 18, kHalf = 21;
static_assert(24 + kSpan == 2 * kHalf && kBlock / 4 == int64_t(1) << (53 - 2 * kHalf));

#if HWY_TARGET == HWY_SCALAR
void AddSquares(const float* g, int64_t count, FloatSum& sum) {
  for (int64_t i = 0; i < count; ++i) sum.add_square(g[i]);
}
#else
using Narrow = hn::Half<Tag>;
using Wide = hn::Rebind<double, Narrow>;

// Sums of the three terms, for either the lower or the upper lanes of vectors of floats.
struct Terms {
  hn::Vec<Wide> high, mixed, low;

  HWY_INLINE Terms() : high(hn::Zero(Wide())), mixed(high), low(high) {}
  HWY_INLINE void add(hn::Vec<Wide> v) {
    const Wide d;
    const auto magic = hn::Set(d, 0x1.8p52);  // Adding this to a double rounds it to an integer.
    const auto unit = hn::Set(d, double(1 << kHalf));
    const auto hi = hn::Sub(hn::MulAdd(v, hn::Set(d, 1.0 / (1 << kHalf)), magic), magic);
    const auto lo = hn::NegMulAdd(hi, unit, v);
    high = hn::MulAdd(hi, hi, high);
    mixed = hn::MulAdd(hi, lo, mixed);
    low = hn::MulAdd(lo, lo, low);
  }
};

void add_integers(const double* values, int64_t count, int exponent, FloatSum& sum) {
  for (int64_t k = 0; k < count; ++k)
    if (values[k] != 0) sum.add_integer(uint64_t(std::abs(values[k])), exponent, values[k] < 0);
}

// Sums of squares of elements with exponents top − kSpan … top.
class SquareSums {
 public:
  // At top = kSpan + 1 the unit is already the lowest bit that a square can have.
  HWY_INLINE explicit SquareSums(int top)
      : top_(std::max(top, kSpan + 1)), scale_(std::ldexp(1.0, 150 + kSpan - top_)) {}

  // Elements with a smaller absolute value, except 0, must not be added here.
  float least() const { return std::ldexp(1.0f, top_ - kSpan - 127); }
  HWY_INLINE void add(hn::Vec<Tag> g) {
    const Narrow half;
    const auto scale = hn::Set(Wide(), scale_);
    lower_.add(hn::Mul(hn::PromoteTo(Wide(), hn::LowerHalf(half, g)), scale));
    upper_.add(hn::Mul(hn::PromoteTo(Wide(), hn::UpperHalf(half, g)), scale));
  }
  HWY_INLINE void add_to(FloatSum& sum) const {
    add_lanes(lower_.high, 2 * kHalf, sum), add_lanes(upper_.high, 2 * kHalf, sum);
    add_lanes(lower_.mixed, kHalf + 1, sum), add_lanes(upper_.mixed, kHalf + 1, sum);
    add_lanes(lower_.low, 0, sum), add_lanes(upper_.low, 0, sum);
  }

 private:
  HWY_INLINE void add_lanes(hn::Vec<Wide> sums, int exponent, FloatSum& sum) const {
    const Wide d;
    HWY_ALIGN double lane[hn::MaxLanes(d)];
    hn::Store(sums, d, lane);
    add_integers(lane, int64_t(hn::Lanes(d)), 2 * (top_ - kSpan - 150) + exponent, sum);
  }

  int top_;
  double scale_;
  Terms lower_, upper_;
};

// Adds the whole vectors of one block, which are finite; `top` is their largest exponent.
HWY_INLINE void add_block(const float* g, int64_t count, int top, FloatSum& sum) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  SquareSums sums(top), smaller(top - kSpan - 1);
  const auto least = hn::Set(d, sums.least()), least_of_smaller = hn::Set(d, smaller.least());
  const auto below = [&](hn::Vec<Tag> x, hn::Vec<Tag> bound) HWY_ATTR {
    return hn::And(hn::Lt(hn::Abs(x), bound), hn::Ne(x, hn::Zero(d)));
  };
  for (int64_t i = 0; i < count; i += lanes) {
    const auto x = hn::LoadU(d, g + i);
    __builtin_prefetch(g + i + kBlock, 0, 2);  // Fetches the next block into L2 meanwhile.
    const auto far = below(x, least);
    if (HWY_LIKELY(hn::AllFalse(d, far))) {
      sums.add(x);
      continue;
    }
    sums.add(hn::IfThenZeroElse(far, x));
    const auto rest = hn::IfThenElseZero(far, x);
    const auto farther = below(rest, least_of_smaller);
    smaller.add(hn::IfThenZeroElse(farther, rest));
    if (HWY_LIKELY(hn::AllFalse(d, farther))) continue;
    for (int64_t k = i; k < i + lanes; ++k)
      if (std::abs(g[k]) < smaller.least()) sum.add_square(g[k]);
  }
  sums.add_to(sum), smaller.add_to(sum);
}

void AddSquares(const float* g, int64_t count, FloatSum& sum) {
  const Tag d;
  const hn::RebindToUnsigned<Tag> bits;
  const int64_t lanes = int64_t(hn::Lanes(d));
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin), whole = size / lanes * lanes;
    auto largest = hn::Zero(bits);  // Compares absolute values as bits, so NaN is the largest.
    for (int64_t i = 0; i < whole; i += lanes)
      largest = hn::Max(largest, hn::BitCast(bits, hn::Abs(hn::LoadU(d, g + begin + i))));
    const auto top = int(hn::GetLane(hn::MaxOfLanes(bits, largest)) >> 23);
    const bool finite = top != 0xFF;
    if (finite) add_block(g + begin, whole, top, sum);
    for (int64_t i = finite ? whole : 0; i < size; ++i) sum.add_square(g[begin + i]);
  }
}
#endif

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

namespace {

HWY_EXPORT(AddSquares);

Workspace squared_sum_workspace(Specs in, const Desc&) {
  const int64_t tasks = (in[SquaredSum::g].count() + kSquaredSumTask - 1) / kSquaredSumTask;
  return {.shared = size_t(tasks) * sizeof(FloatSum)};
}

void sum_squares(const Args& a) {
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

}  // namespace

constinit const Implementation squared_sum[] = {
    {.name = "cpu", .workspace = squared_sum_workspace, .run = sum_squares}};

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
