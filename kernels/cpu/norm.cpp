#include "kernels/norm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <new>

#include "kernels/cpu/result_of.h"

namespace birkhoff::cpu {
namespace {

// A float is m·2^(e − 150) with m < 2^24, so its square is m² at an exponent that only e decides:
// one integer addition to the bin of e, no shift. 2^16 of them fit; then the bins go to the sum.
// Two sets of bins, because neighbours tend to share a bin and would wait for each other's store.
FloatSum sum_of_squares(const float* g, int64_t count) {
  static_assert(kSquaredSumTask <= 65536);
  uint64_t bins[2][256] = {};
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(g[i]), e = bits >> 23 & 0xFF;
    const uint64_t m = (bits & 0x7FFFFF) | (e != 0 ? 0x800000u : 0u);
    bins[i & 1][e] += e != 0xFF ? m * m : 1;  // the last bin counts what is not finite
  }
  FloatSum sum;
  for (int e = 0; e < 255; ++e)
    for (const auto& set : bins)
      if (set[e] != 0) sum.add_integer(set[e], 2 * (std::max(e, 1) - 150));
  sum.add_nonfinite(int64_t(bins[0][255] + bins[1][255]));
  return sum;
}

}  // namespace

void squared_sum(const Args& a) {
  const int64_t count = a.count(SquaredSum::g);
  const float* g = a.in<float>(SquaredSum::g);
  FloatSum* parts = a.shared_workspace<FloatSum>();
  a.team().ranges(count, kSquaredSumTask, [&](int64_t begin, int64_t end, int) {
    new (parts + begin / kSquaredSumTask) FloatSum(sum_of_squares(g + begin, end - begin));
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
