// A small matrix product in registers, with ragged rows. Included once per target, see simd-inl.h.
//
//   out[r, c] (+)= Σ_j a[r·a_row + j·a_step]·b[j·b_row + c]
//
// a is read element by element and broadcast, so either of its dims may be the contiguous one;
// b and out are read along c. The sum of an element is one chain over j in order, whatever tile it
// is in, so its bits depend only on its own row and column.
#if defined(BIRKHOFF_PRODUCT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_PRODUCT_INL
#undef BIRKHOFF_PRODUCT_INL
#else
#define BIRKHOFF_PRODUCT_INL
#endif

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

struct Product {
  const float* a;
  int64_t a_row, a_step;
  const float* b;
  int64_t b_row;
  float* out;
  int64_t out_row;
};

// Rows of a tile. With up to 3 vectors per row, a tile has 24 sums in 32 registers or 12 in 16.
inline constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

template <bool kAdd, int kRows, int kVectors, class D>
HWY_INLINE void tile(D d, const Product& p, int64_t r, int64_t c, int64_t begin, int64_t end) {
  constexpr int64_t kLanes = int64_t(hn::MaxLanes(d));
  float* out = p.out + r * p.out_row + c;
  hn::Vec<D> sum[kRows][kVectors];
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kVectors; ++n)
      sum[m][n] = kAdd ? hn::LoadU(d, out + m * p.out_row + n * kLanes) : hn::Zero(d);
  const float *a = p.a + r * p.a_row + begin * p.a_step, *b = p.b + c + begin * p.b_row;
  for (int64_t j = begin; j < end; ++j, a += p.a_step, b += p.b_row) {
    hn::Vec<D> row[kVectors];
    for (int n = 0; n < kVectors; ++n) row[n] = hn::LoadU(d, b + n * kLanes);
    for (int m = 0; m < kRows; ++m) {
      const auto x = hn::Set(d, a[m * p.a_row]);
      for (int n = 0; n < kVectors; ++n) sum[m][n] = hn::MulAdd(x, row[n], sum[m][n]);
    }
  }
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kVectors; ++n) hn::StoreU(sum[m][n], d, out + m * p.out_row + n * kLanes);
}

// Calls body(tag, vectors, c) over the columns: 3 or 2 vectors at a time where possible (a tile of
// one vector stalls on its own sums), then vectors of 8, 4, 2 and 1 lanes as needed.
template <class F>
HWY_INLINE void each_chunk(int64_t columns, F&& body) {
  const Tag d;
  constexpr int64_t kLanes = int64_t(hn::MaxLanes(d));
  int64_t c = 0;
  for (int64_t left = columns / kLanes; left > 0;) {
    if (left == 1) {
      body(d, std::integral_constant<int, 1>(), c), c += kLanes, left -= 1;
    } else if (left == 2 || left == 4) {
      body(d, std::integral_constant<int, 2>(), c), c += 2 * kLanes, left -= 2;
    } else {
      body(d, std::integral_constant<int, 3>(), c), c += 3 * kLanes, left -= 3;
    }
  }
  const auto rest = [&](auto tag) HWY_ATTR {
    const auto lanes = int64_t(hn::MaxLanes(tag));
    if (lanes >= kLanes || columns - c < lanes) return;
    body(tag, std::integral_constant<int, 1>(), c);
    c += lanes;
  };
  rest(hn::CappedTag<float, 8>());
  rest(hn::CappedTag<float, 4>());
  rest(hn::CappedTag<float, 2>());
  rest(hn::CappedTag<float, 1>());
}

// Sets rows [0, rows) × columns [0, columns), where columns is a multiple of the vector width; j
// runs over [0, depth). A tile is left unchanged if skip(its first row, its end column) is true.
template <class Skip>
void product(const Product& p, int64_t rows, int64_t columns, int64_t depth, Skip skip) {
  each_chunk(columns, [&](auto d, auto vectors, int64_t c) HWY_ATTR {
    constexpr int kVectors = decltype(vectors)::value;
    const int64_t end = c + kVectors * int64_t(hn::MaxLanes(d));
    int64_t r = 0;
    for (; r + kTileRows <= rows; r += kTileRows)
      if (!skip(r, end)) tile<false, kTileRows, kVectors>(d, p, r, c, 0, depth);
    for (; r < rows; ++r)
      if (!skip(r, end)) tile<false, 1, kVectors>(d, p, r, c, 0, depth);
  });
}

// Adds to rows [0, rows) × columns [0, columns); for row r, j runs over [begin(r), end(r)), which
// may be empty. REQUIRES that neither bound decreases with r. Elements outside the range are not
// factors of row r.
template <class Begin, class End>
void add_product(const Product& p, int64_t rows, int64_t columns, Begin begin, End end) {
  each_chunk(columns, [&](auto d, auto vectors, int64_t c) HWY_ATTR {
    constexpr int kVectors = decltype(vectors)::value;
    const auto one = [&](int64_t r, int64_t from, int64_t to) HWY_ATTR {
      if (from < to) tile<true, 1, kVectors>(d, p, r, c, from, to);
    };
    int64_t r = 0;
    for (; r + kTileRows <= rows; r += kTileRows) {
      const int64_t from = begin(r + kTileRows - 1), to = end(r);  // The range that all rows share.
      const bool shared = from < to;
      for (int64_t m = r; m < r + kTileRows; ++m) one(m, begin(m), shared ? from : end(m));
      if (!shared) continue;
      tile<true, kTileRows, kVectors>(d, p, r, c, from, to);
      for (int64_t m = r; m < r + kTileRows; ++m) one(m, to, end(m));
    }
    for (; r < rows; ++r) one(r, begin(r), end(r));
  });
}

}  // namespace
}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
