// Blocks of attention; included once per target, see simd-inl.h.
//
// Scores are kept transposed, [keys, queries]: a vector holds one key's scores of neighbouring
// queries, so that maximum, sum and exponential of the softmax need no sums across lanes, and only
// the queries of a block are ever packed; keys and values are read where they lie.
#if defined(BIRKHOFF_ATTENTION_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_ATTENTION_INL
#undef BIRKHOFF_ATTENTION_INL
#else
#define BIRKHOFF_ATTENTION_INL
#endif

#include <cfloat>
#include <cmath>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/attention_workspace.h"
#include "kernels/cpu/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// One head of some tokens: `width` features each, rows `row` floats apart.
struct Rows {
  const float* data;
  int64_t row, width;
  const float* at(int64_t t) const { return data + t * row; }
};

// Up to kAttentionBlock queries. Query i sees the keys first[i] … self[i]; neither decreases.
struct QueryBlock {
  int64_t count = 0;
  alignas(64) int32_t first[kAttentionBlock];
  alignas(64) int32_t self[kAttentionBlock];

  void add(int64_t first_key, int64_t own_key) {
    first[count] = int32_t(first_key), self[count] = int32_t(own_key), ++count;
  }
  // Lanes behind the last query see nothing.
  void close() {
    std::fill(first + count, first + kAttentionBlock, INT32_MAX);
    std::fill(self + count, self + kAttentionBlock, -1);
  }
  // Blocks of keys begin at multiples of the block's size.
  int64_t keys_begin() const { return first[0] / kAttentionBlock * kAttentionBlock; }
  int64_t keys_end() const { return self[count - 1] + 1; }
  int64_t columns() const {
    const auto lanes = int64_t(hn::Lanes(Tag()));
    return (count + lanes - 1) / lanes * lanes;
  }
};

// Columns [c, c + lanes) of a block of scores whose rows are the keys from k0 on: rows
// [begin, end) hold a score that counts, and in [full_begin, full_end) all of them do.
struct Span {
  int64_t begin, full_begin, full_end, end;

  Span(const QueryBlock& b, int64_t c, int64_t k0, int64_t keys) {
    const int64_t last = std::min(c + int64_t(hn::Lanes(Tag())), b.count) - 1;
    begin = std::clamp<int64_t>(b.first[c] - k0, 0, keys);
    end = std::clamp<int64_t>(b.self[last] + 1 - k0, begin, keys);
    full_begin = std::clamp<int64_t>(b.first[last] - k0, begin, end);
    full_end = std::clamp<int64_t>(b.self[c] + 1 - k0, full_begin, end);
  }
};

#if HWY_TARGET != HWY_SCALAR  // 4×4 turned in registers; one lane has nothing to interleave
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

// packed[i, t] = scale·x[from + t, i]; columns from `count` on are 0.
void pack_transposed(const Rows& x, int64_t from, int64_t count, float scale, float* packed) {
  int64_t whole_t = 0, whole_i = 0;  // what is turned in 4×4
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  const auto factor = hn::Set(d, scale);
  whole_t = count / 4 * 4, whole_i = x.width / 4 * 4;
  for (int64_t t = 0; t < whole_t; t += 4)
    for (int64_t i = 0; i < whole_i; i += 4)
      transpose_4x4(d, factor, x.at(from + t) + i, x.row, packed + i * kAttentionBlock + t);
#endif
  for (int64_t i = 0; i < x.width; ++i)
    for (int64_t t = i < whole_i ? whole_t : 0; t < kAttentionBlock; ++t)
      packed[i * kAttentionBlock + t] = t < count ? scale * x.at(from + t)[i] : 0;
}

// scores[j, i] = x[k0 + j]·packed[:, i]. Tiles that lie wholly behind their queries are skipped.
void scores_of(const Rows& x, int64_t k0, int64_t keys, const float* packed, const QueryBlock& b,
               float* scores) {
  const Product p{.a = x.at(k0),
                  .a_row = x.row,
                  .a_step = 1,
                  .b = packed,
                  .b_row = kAttentionBlock,
                  .out = scores,
                  .out_row = kAttentionBlock};
  product(p, keys, b.columns(), x.width, [&](int64_t key, int64_t query_end) {
    return b.self[std::min(query_end, b.count) - 1] < k0 + key;
  });
}

// out[i] += Σ_j weights[j, i]·x[k0 + j] over the keys that query i sees.
void add_over_keys(const float* weights, const Rows& x, int64_t k0, int64_t keys,
                   const QueryBlock& b, float* out) {
  const Product p{.a = weights,
                  .a_row = 1,
                  .a_step = kAttentionBlock,
                  .b = x.at(k0),
                  .b_row = x.row,
                  .out = out,
                  .out_row = x.width};
  add_product(
      p, b.count, x.width, [&](int64_t i) { return std::max<int64_t>(b.first[i] - k0, 0); },
      [&](int64_t i) { return std::min<int64_t>(b.self[i] + 1 - k0, keys); });
}

// Highway's Exp turns NaN to 0, which would hide a failure.
template <class D, class V>
HWY_INLINE V exp_or_nan(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

// Turns the scores of keys [k0, k0 + keys) to exp(score − top) and updates top and sum of each
// query; factor says how much the earlier sums shrink.
void softmax_block(const QueryBlock& b, int64_t k0, int64_t keys, const AttentionWorkspace& w) {
  const Tag d;
  const hn::Rebind<int32_t, Tag> di;
  const auto never = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t c = 0; c < b.columns(); c += int64_t(hn::Lanes(d))) {
    const Span span(b, c, k0, keys);
    const auto first = hn::Load(di, b.first + c), self = hn::Load(di, b.self + c);
    float* column = w.scores + c;
    const auto old_top = hn::Load(d, w.top + c);
    auto top = old_top;
    const auto mask = [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t j = begin; j < end; ++j) {
        const auto key = hn::Set(di, int32_t(k0 + j));
        const auto hidden = hn::RebindMask(d, hn::Or(hn::Gt(first, key), hn::Gt(key, self)));
        float* score = column + j * kAttentionBlock;
        hn::Store(hn::IfThenElse(hidden, never, hn::Load(d, score)), d, score);
      }
    };
    mask(span.begin, span.full_begin);
    mask(span.full_end, span.end);
    for (int64_t j = span.begin; j < span.end; ++j)
      top = hn::Max(top, hn::Load(d, column + j * kAttentionBlock));
    const auto factor = exp_or_nan(d, hn::Sub(old_top, top));
    auto sum = hn::Mul(hn::Load(d, w.sum + c), factor);
    for (int64_t j = span.begin; j < span.end; ++j) {
      float* score = column + j * kAttentionBlock;
      const auto p = exp_or_nan(d, hn::Sub(hn::Load(d, score), top));
      hn::Store(p, d, score);
      sum = hn::Add(sum, p);
    }
    hn::Store(top, d, w.top + c);
    hn::Store(factor, d, w.factor + c);
    hn::Store(sum, d, w.sum + c);
  }
}

// Attention of the queries q[from …]: w.out, still to be divided by w.sum, and w.top.
void attend(const Rows& q, int64_t from, const Rows& k, const Rows& v, float scale,
            const QueryBlock& b, const AttentionWorkspace& w) {
  pack_transposed(q, from, b.count, scale, w.queries);
  std::fill_n(w.top, kAttentionBlock, -FLT_MAX);  // finite, so that top − top is 0
  std::fill_n(w.sum, kAttentionBlock, 0.0f);
  std::fill_n(w.out, b.count * v.width, 0.0f);
  for (int64_t k0 = b.keys_begin(); k0 < b.keys_end(); k0 += kAttentionBlock) {
    const int64_t keys = std::min(kAttentionBlock, b.keys_end() - k0);
    scores_of(k, k0, keys, w.queries, b, w.scores);
    softmax_block(b, k0, keys, w);
    for (int64_t i = 0; i < b.count; ++i) {
      float* out = w.out + i * v.width;
      each_vector(v.width, [&](auto d, int64_t c) HWY_ATTR {
        hn::StoreU(hn::Mul(hn::LoadU(d, out + c), hn::Set(d, w.factor[i])), d, out + c);
      });
    }
    add_over_keys(w.scores, v, k0, keys, b, w.out);
  }
}

// out = base + x·factor, one row.
HWY_INLINE void write_row(const float* x, float factor, int64_t width, const float* base,
                          float* out) {
  each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
    set(d, hn::Mul(hn::LoadU(d, x + c), hn::Set(d, factor)), base, out, c);
  });
}

}  // namespace
}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
