// Attention for one block of queries. Included once per target, see simd-inl.h.
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
#include "kernels/cpu/attention_scores-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// Highway's Exp turns NaN to 0, which would hide a failure.
template <class D, class V>
HWY_INLINE V exp_or_nan(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

// Replaces the scores of `keys` by exp(score − top) and updates each query's top and sum; factor is
// what the earlier sums must be multiplied by.
void softmax_block(const QueryBlock& b, const Keys& keys, const AttentionWorkspace& w) {
  const Tag d;
  const hn::Rebind<int32_t, Tag> di;
  const auto never = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t c = 0; c < b.columns(); c += int64_t(hn::Lanes(d))) {
    const Span span(b, c, keys);
    const auto first = hn::Load(di, b.first + c), self = hn::Load(di, b.self + c);
    float* column = w.scores + c;
    const auto old_top = hn::Load(d, w.top + c);
    auto top = old_top;
    const auto mask = [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t j = begin; j < end; ++j) {
        const auto key = hn::Set(di, int32_t(keys.begin + j));
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

// One head of one sequence.
template <class T>
struct Head {
  RowsOf<T> q, k, v;
  float scale;
  HeadShape shape() const { return {std::is_same_v<T, bf16>, q.width, v.width}; }
};

// Attention of the queries q[from …]. Sets w.out, which still must be divided by w.sum, and w.top.
template <class T>
void attend(const Head<T>& head, int64_t from, const QueryBlock& b, const AttentionWorkspace& w) {
  const auto wide = [&](const RowsOf<T>& x, int64_t begin, int64_t count)
                        HWY_ATTR { return widened(x, begin, count, w.wide); };
  pack_transposed(wide(head.q, from, b.count), b.count, head.scale, w.queries);
  std::fill_n(w.top, kAttentionBlock, -FLT_MAX);  // Finite, so that top − top is 0.
  std::fill_n(w.sum, kAttentionBlock, 0.0f);
  std::fill_n(w.out, b.count * head.v.width, 0.0f);
  b.each_keys([&](const Keys& keys) HWY_ATTR {
    scores_of(wide(head.k, keys.begin, keys.count), keys, w.queries, b, w.scores);
    softmax_block(b, keys, w);
    for (int64_t i = 0; i < b.count; ++i) {
      float* out = w.out + i * head.v.width;
      each_vector(head.v.width, [&](auto d, int64_t c) HWY_ATTR {
        hn::StoreU(hn::Mul(hn::LoadU(d, out + c), hn::Set(d, w.factor[i])), d, out + c);
      });
    }
    add_over_keys(w.scores, wide(head.v, keys.begin, keys.count), keys, b, w.out);
  });
}

// out = base + x·factor for one row.
template <class T>
HWY_INLINE void write_row(const float* x, float factor, int64_t width, const T* base, T* out) {
  each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
    set(d, hn::Mul(hn::LoadU(d, x + c), hn::Set(d, factor)), base, out, c);
  });
}

}  // namespace
}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
