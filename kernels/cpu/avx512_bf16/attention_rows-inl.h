// Copies rows of a head and packs them as pairs for the products of attention. Include it after
// everything else, see simd-inl.h.
#pragma once
#include <algorithm>

#include "kernels/cpu/attention_workspace.h"
#include "kernels/operator.h"
// must come last:
#include "kernels/cpu/avx512_bf16/simd-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

constexpr int64_t kStripe = PairBlocks::kStripe;
constexpr int kRows = 8;  // Rows of a register tile, which has up to kStripe columns.

// One head of some tokens: `width` features per token, with a row stride of `row` elements.
struct Rows {
  const bf16* data;
  int64_t row, width;
  const bf16* at(int64_t t) const { return data + t * row; }
};

// Rows of head h, from token `start` on.
inline Rows head_of(const Args& a, int i, int64_t heads, int64_t start, int64_t h) {
  const int64_t row = a.dim(i, 1), width = row / heads;
  return {a.in<bf16>(i) + start * row + h * width, row, width};
}

// Keys [begin, begin + count).
struct Keys {
  int64_t begin, count;
};

// Elements [c, c + 32) of a row, 0 from its width on.
BIRKHOFF_INLINE __m512i load_32(const bf16* row, int64_t c, int64_t width) {
  const int64_t left = width - c;
  const auto lanes = left >= 32 ? ~__mmask32(0) : (__mmask32(1) << left) - 1;
  return _mm512_maskz_loadu_epi16(lanes, row + c);
}

// Rows of a head are far apart in memory, so the row kAhead rows after t is prefetched if it is
// before row `end`.
constexpr int64_t kAhead = 32;
BIRKHOFF_INLINE void fetch_ahead(const Rows& x, int64_t t, int64_t end) {
  if (t + kAhead >= end) return;
  for (int64_t c = 0; c < x.width; c += 32) _mm_prefetch(x.at(t + kAhead) + c, _MM_HINT_T0);
}

// Copies rows [from, from + count) one after the other, padded with zeros to whole vectors and
// whole tiles.
inline void copy_rows(const Rows& x, int64_t from, int64_t count, bf16* to) {
  const int64_t row = PairWidth(x.width).row;
  for (int64_t t = 0; t < count; ++t, to += row)
    for (int64_t c = 0; c < row; c += 32)
      _mm512_storeu_si512(to + c, load_32(x.at(from + t), c, x.width));
  std::fill_n(to, (padded(count, kRows) - count) * row, bf16{});
}

// Packs pairs along the width, with the rows of a stripe side by side: [count / 48][width / 2, 48].
inline void pack_stripes(const Rows& x, int64_t from, int64_t count, uint32_t* to) {
  const int64_t pairs = PairWidth(x.width).pairs;
  for (int64_t j = 0; j < count; j += kLanes) {
    uint32_t* stripe = to + j / kStripe * kStripe * pairs + j % kStripe;
    for (int64_t t = j; t < j + kLanes; ++t) fetch_ahead(x, from + t, from + count);
    for (int64_t k = 0; k < pairs; k += kLanes) {
      __m512i tile[16];
#pragma GCC unroll 16
      for (int t = 0; t < 16; ++t)
        tile[t] =
            j + t < count ? load_32(x.at(from + j + t), 2 * k, x.width) : _mm512_setzero_si512();
      transpose(tile);
      for (int64_t t = 0; t < std::min(kLanes, pairs - k); ++t)
        _mm512_storeu_si512(stripe + (k + t) * kStripe, tile[t]);
    }
  }
}

// Packs pairs of neighbouring rows: [count / 2, lanes].
inline void pack_pairs(const Rows& x, int64_t from, int64_t count, uint32_t* to) {
  const int64_t lanes = PairWidth(x.width).lanes;
  for (int64_t t = 0; t < count; t += 2, to += lanes) {
    fetch_ahead(x, from + t, from + count);
    fetch_ahead(x, from + t + 1, from + count);
    for (int64_t c = 0; c < x.width; c += 32) {
      const __m512i row = load_32(x.at(from + t), c, x.width);
      const __m512i next =
          t + 1 < count ? load_32(x.at(from + t + 1), c, x.width) : _mm512_setzero_si512();
      __m512i lower, upper;
      interleave(row, next, lower, upper);
      _mm512_storeu_si512(to + c, lower);
      if (c + kLanes < lanes) _mm512_storeu_si512(to + c + kLanes, upper);
    }
  }
}

}  // namespace
}  // namespace birkhoff::cpu::avx512_bf16
