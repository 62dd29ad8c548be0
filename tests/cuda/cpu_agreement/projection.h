#pragma once
// u = norm·(v·w) of both backends. The effect of rounding w to tf32, norm·v·(tf32(w) − w), is known
// and does not count as an error.
#include "tests/cuda/cpu_agreement/agreement.h"
#include "tests/cuda/opened.h"

namespace birkhoff::testing {

struct Projected {
  int64_t rows, length, columns;                    // number of norms, values in each, columns of w
  std::function<int64_t(int64_t, int64_t)> weight;  // (value, column) → index into w
  std::function<int64_t(int64_t, int64_t)> at;      // (row, column) → index into u
  int64_t streams = 1, width = 0;                   // streams of a row, and their width
  bool pairs = false;
};

struct UAndNorm {
  Tensor u, norm;
};

// On the device a warp adds ⌈C/256⌉·32 products of each stream one by one, then 8 warps are added,
// and each add may truncate. The CPU has an 8th of the row in a lane; with pairs all of it, and w
// as two bf16, accurate to 2^-17. In norm, roundings grow only as √adds, each of a partial sum no
// larger than the final one.
inline void expect_projected(const Projected& p, const Tensor& x, const Tensor& w,
                             const UAndNorm& device, const UAndNorm& cpu) {
  const double device_adds = double(p.streams * ((p.width + 255) / 256) * 32 + 8);
  const double cpu_adds = p.pairs ? double(p.length + 16) : double(p.length) / 8 + 16;
  const double split = p.pairs ? 0x1p-17 : 0;
  const double rms = relative_of_rms(p.length) + kHalf * (double(p.length) / 16 + 16);
  const double worst = device_adds * kUnit + cpu_adds * kHalf + split;
  double errors = 0, squares = 0;
  for (int64_t row = 0; row < p.rows; ++row) {
    const double inverse = cpu.norm.at(row);
    ASSERT_LE(std::fabs(device.norm.at(row) - inverse), rms * inverse) << row;
    for (int64_t k = 0; k < p.columns; ++k) {
      double terms = 0, power = 0, shift = 0;
      for (int64_t e = 0; e < p.length; ++e) {
        const double v = x.at(row * p.length + e), factor = w.at(p.weight(e, k));
        const double term = v * factor;
        terms += std::fabs(term), power += term * term, shift += v * (tf32(factor) - factor);
      }
      const double want = cpu.u.at(p.at(row, k));
      const double error = std::fabs(device.u.at(p.at(row, k)) - inverse * shift - want);
      ASSERT_LE(error, inverse * worst * terms + (rms + 2 * kUnit) * std::fabs(want))
          << "row " << row << " column " << k;
      errors += error * error, squares += inverse * inverse * power;
    }
  }
  const double most = std::sqrt(device_adds) * kUnit + std::sqrt(cpu_adds) * kHalf + split + rms;
  EXPECT_LE(std::sqrt(errors), most * std::sqrt(squares)) << "u in norm";
}

}  // namespace birkhoff::testing
