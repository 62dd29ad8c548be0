// Blocks of scores: which keys they hold, and their products with keys, values and queries.
// Included once per target, see simd-inl.h.
//
// Scores are stored transposed, [keys, queries]: a vector holds one key's scores for neighbouring
// queries, so that the softmax needs no reductions across lanes, and only the queries of a block
// are ever packed. f32 keys and values are read in place; bf16 ones are first widened a block at a
// time, so that one conversion serves up to 64 products.
#if defined(BIRKHOFF_ATTENTION_SCORES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_ATTENTION_SCORES_INL
#undef BIRKHOFF_ATTENTION_SCORES_INL
#else
#define BIRKHOFF_ATTENTION_SCORES_INL
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/attention_workspace.h"
#include "kernels/cpu/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// One head of some tokens: `width` features per token, with a row stride of `row` elements.
template <class T>
struct RowsOf {
  const T* data;
  int64_t row, width;
  const T* at(int64_t t) const { return data + t * row; }
};
using Rows = RowsOf<float>;

// Rows [from, from + count) as floats: in place if they are floats, else converted into `memory`.
template <class T>
Rows widened(const RowsOf<T>& x, int64_t from, [[maybe_unused]] int64_t count,
             [[maybe_unused]] float* memory) {
  if constexpr (std::is_same_v<T, float>) {
    return {x.at(from), x.row, x.width};
  } else {
    for (int64_t t = 0; t < count; ++t) {
      const T* row = x.at(from + t);
      float* to = memory + t * x.width;
      each_vector(x.width,
                  [&](auto d, int64_t i) HWY_ATTR { hn::StoreU(load(d, row + i), d, to + i); });
    }
    return {memory, x.width, x.width};
  }
}

// Keys [begin, begin + count).
struct Keys {
  int64_t begin, count;
};

// Up to kAttentionBlock queries. Query i sees the keys first[i] … self[i]; neither decreases.
struct QueryBlock {
  int64_t count = 0;
  alignas(64) int32_t first[kAttentionBlock];
  alignas(64) int32_t self[kAttentionBlock];

  void add(int64_t first_key, int64_t own_key) {
    first[count] = int32_t(first_key), self[count] = int32_t(own_key), ++count;
  }
  // Lanes after the last query see no keys.
  void close() {
    std::fill(first + count, first + kAttentionBlock, INT32_MAX);
    std::fill(self + count, self + kAttentionBlock, -1);
  }
  // Calls f(keys) for each block of keys that any query may see. Blocks begin at multiples of their
  // size.
  template <class F>
  HWY_INLINE void each_keys(F&& f) const {
    const int64_t end = self[count - 1] + 1;
    for (int64_t k = first[0] / kAttentionBlock * kAttentionBlock; k < end; k += kAttentionBlock)
      f(Keys{k, std::min(kAttentionBlock, end - k)});
  }
  int64_t columns() const {
    const auto lanes = int64_t(hn::Lanes(Tag()));
    return (count + lanes - 1) / lanes * lanes;
  }
};

// For columns [c, c + lanes) of a block of scores whose rows are `keys`: rows [begin, end) hold at
// least one visible score, and in rows [full_begin, full_end) all scores are visible.
struct Span {
  int64_t begin, full_begin, full_end, end;

  Span(const QueryBlock& b, int64_t c, const Keys& keys) {
    const int64_t last = std::min(c + int64_t(hn::Lanes(Tag())), b.count) - 1;
    begin = std::clamp<int64_t>(b.first[c] - keys.begin, 0, keys.count);
    end = std::clamp<int64_t>(b.self[last] + 1 - keys.begin, begin, keys.count);
    full_begin = std::clamp<int64_t>(b.first[last] - keys.begin, begin, end);
    full_end = std::clamp<int64_t>(b.self[c] + 1 - keys.begin, full_begin, end);
  }
};

#if HWY_TARGET != HWY_SCALAR  // Transposes 4×4 in registers; a single lane cannot interleave.
// packed[i, 0 … 3] = factor·rows[0 … 3][i] for i < 4.
template <class D, class V>
HWY_INLINE void transpose_4x4(D d, V factor, const float* rows, int64_t row, float* packed) {
  const auto a = hn::LoadU(d, rows), b = hn::LoadU(d, rows + row);
  const auto e = hn::LoadU(d, rows + 2 * row), f = hn::LoadU(d, rows + 3 * row);
  const auto ae0 = hn::InterleaveLower(d, a, e), ae1 = hn::InterleaveUpper(d, a, e);
  const auto bf0 = hn::InterleaveLower(d, b, f), bf1 = hn::InterleaveUpper(d, b, f);
  constexpr int64_t kStep = kAttentionBlock;
  hn::StoreU(hn::Mul(factor, hn::InterleaveLower(d, ae0, bf0)), d, packed);
  hn::StoreU(hn::Mul(factor, hn::InterleaveUpper(d, ae0, bf0)), d, packed + kStep);
  hn::StoreU(hn::Mul(factor, hn::InterleaveLower(d, ae1, bf1)), d, packed + 2 * kStep);
  hn::StoreU(hn::Mul(factor, hn::InterleaveUpper(d, ae1, bf1)), d, packed + 3 * kStep);
}
#endif

// packed[i, t] = scale·x[t, i]. Columns from `count` on are 0.
void pack_transposed(const Rows& x, int64_t count, float scale, float* packed) {
  int64_t whole_t = 0, whole_i = 0;  // The part that is transposed in 4×4 tiles.
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  const auto factor = hn::Set(d, scale);
  whole_t = count / 4 * 4, whole_i = x.width / 4 * 4;
  for (int64_t t = 0; t < whole_t; t += 4)
    for (int64_t i = 0; i < whole_i; i += 4)
      transpose_4x4(d, factor, x.at(t) + i, x.row, packed + i * kAttentionBlock + t);
#endif
  for (int64_t i = 0; i < x.width; ++i)
    for (int64_t t = i < whole_i ? whole_t : 0; t < kAttentionBlock; ++t)
      packed[i * kAttentionBlock + t] = t < count ? scale * x.at(t)[i] : 0;
}

// scores[j, i] = x[j]·packed[:, i], where x has the rows of `keys`. Tiles are skipped if all their
// keys come after all their queries.
void scores_of(const Rows& x, const Keys& keys, const float* packed, const QueryBlock& b,
               float* scores) {
  const Product p{.a = x.data,
                  .a_row = x.row,
                  .a_step = 1,
                  .b = packed,
                  .b_row = kAttentionBlock,
                  .out = scores,
                  .out_row = kAttentionBlock};
  product(p, keys.count, b.columns(), x.width, [&](int64_t key, int64_t query_end) {
    return b.self[std::min(query_end, b.count) - 1] < keys.begin + key;
  });
}

// out[i] += Σ_j weights[j, i]·x[j] over the keys that query i sees; x has the rows of `keys`.
void add_over_keys(const float* weights, const Rows& x, const Keys& keys, const QueryBlock& b,
                   float* out) {
  const Product p{.a = weights,
                  .a_row = 1,
                  .a_step = kAttentionBlock,
                  .b = x.data,
                  .b_row = x.row,
                  .out = out,
                  .out_row = x.width};
  add_product(
      p, b.count, x.width, [&](int64_t i) { return std::max<int64_t>(b.first[i] - keys.begin, 0); },
      [&](int64_t i) { return std::min<int64_t>(b.self[i] + 1 - keys.begin, keys.count); });
}

}  // namespace
}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
