#include "kernels/norm.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

constexpr int kPoint = 16 * kFloatLimbs;  // bits below the binary point

}  // namespace

// Longhand addition: every square is a whole number that is added bit by bit, with carries
// propagated at once.
void squared_sum(const Args& a) {
  const Input g(a, SquaredSum::g);
  const Output acc(a, SquaredSum::acc);
  std::vector<uint64_t> digit(kFloatLimbs);
  double nonfinite = 0;
  for (int64_t i = 0; i < a.count(SquaredSum::g); ++i) {
    const float x = std::abs(float(g[i]));
    if (!std::isfinite(x)) {
      ++nonfinite;
      continue;
    }
    if (x == 0) continue;
    int exponent = 0;
    double m = std::ldexp(std::frexp(x, &exponent), 24);
    for (exponent -= 24; std::fmod(m, 2) == 0; ++exponent) m /= 2;
    uint64_t square = uint64_t(m * m);
    for (int bit = 2 * exponent + kPoint; square != 0; ++bit, square /= 2) {
      if (square % 2 == 0) continue;
      size_t k = size_t(bit / 32);
      digit[k] += uint64_t{1} << (bit % 32);
      for (; digit[k] >> 32; ++k) digit[k] -= uint64_t{1} << 32, ++digit[k + 1];
    }
  }
  for (int64_t k = 0; k < kFloatLimbs; ++k) acc.set(k, double(digit[size_t(k)]));
  acc.set(kFloatLimbs, nonfinite);
}

void clip_scale(const Args& a) {
  const Input acc(a, ClipScale::acc);
  const Output scale(a, ClipScale::scale), norm(a, ClipScale::norm);
  const double max_norm = a.desc<ClipScale::Desc>().max_norm;
  double sum = 0;
  for (int64_t k = kFloatLimbs - 1; k >= 0; --k) sum += std::ldexp(acc[k], 32 * int(k) - kPoint);
  if (acc[kFloatLimbs] != 0) sum = std::numeric_limits<double>::quiet_NaN();
  norm.set(0, std::sqrt(sum));
  if (max_norm == 0 || sum == 0)
    scale.set(0, acc[kFloatLimbs] != 0 ? sum : 1);
  else
    scale.set(0, std::isnan(sum) ? sum : std::min(1.0, max_norm / std::sqrt(sum)));
}

}  // namespace birkhoff::reference
