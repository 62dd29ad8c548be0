// Attention with products of pairs of bf16. A task has up to 512 queries of a (sequence, head) and
// walks over blocks of up to 512 keys. It packs each block once: keys as pairs along the width, so
// that a vector holds 16 keys, and values as pairs of tokens. For eight queries at a time, the
// scores of the whole block (16 KB) are computed before the softmax; the results of earlier blocks
// are rescaled by how much the maximum rose.
//
// p = exp(s − top) is rounded to bf16 as a factor of P·V, and o is divided by the sum of the
// rounded p, so that the weights of the mean sum to 1. lse is computed from p before rounding.
#include "kernels/attention.h"

#include <cfloat>
#include <cmath>

#include "kernels/bodies.h"
// must come last:
#include "kernels/cpu/avx512_bf16/attention_product-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

using Workspace = PairAttentionWorkspace;

// One head of one sequence, which begins at token `start`.
struct Head {
  Rows q, k, v;
  const int32_t* first_key;
  int64_t start;
  float scale;  // Multiplied by log2 e.
};

// Computes the scores, times scale, of keys [key, key + 16·kV) of a block, −∞ where a query does
// not see the key, and raises top to each query's largest score.
template <int kV>
BIRKHOFF_INLINE void score(const Workspace& w, const Seen& seen, float scale, int64_t key,
                           V (&top)[kRows]) {
  V sum[kRows][kV] = {};
  add_pairs(sum, PairRows{w.queries, w.width.row, 2}, Factor{w.keys + key * w.width.pairs, kStripe},
            0, w.width.pairs);
  const bool edge = key < seen.all_begin || key + kV * kLanes > seen.all_end;
  const V factor = set(scale), never = set(-__builtin_inff());
  const __m512i lane =
      _mm512_add_epi32(_mm512_set1_epi32(int(key)),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) {
      V s = _mm512_mul_ps(sum[r][v], factor);
      if (edge) {
        const __m512i from_first =
            _mm512_sub_epi32(lane, _mm512_set1_epi32(seen.begin[r] - v * int(kLanes)));
        const __m512i count = _mm512_set1_epi32(seen.end[r] - seen.begin[r]);
        s = _mm512_mask_mov_ps(never, _mm512_cmplt_epu32_mask(from_first, count), s);
      }
      top[r] = _mm512_max_ps(top[r], s);
      store(s, w.scores + r * w.row + key + v * kLanes);
    }
}

// Computes p of keys [begin, end) and updates its sums; factor is what earlier sums must be
// multiplied by. i is the index of the first query in the task.
void softmax(const Workspace& w, int64_t begin, int64_t end, const V (&top)[kRows], int64_t i,
             float (&factor)[kRows]) {
  const __m512i ones = _mm512_set1_epi32(0x3F803F80);  // Pairs (1, 1).
  for (int r = 0; r < kRows; ++r) {
    float *scores = w.scores + r * w.row, old_top = w.top[i + r];
    const float new_top = std::max(old_top, _mm512_reduce_max_ps(top[r]));
    const V highest = set(new_top);
    V sum = zero(), p_sum = zero();
    store(set(-__builtin_inff()), scores + end);  // Pads the last step if it is only half full.
    for (int64_t j = begin; j < end; j += 2 * kLanes) {
      const V low = exp2_of(_mm512_sub_ps(load(scores + j), highest));
      const V high = exp2_of(_mm512_sub_ps(load(scores + j + kLanes), highest));
      const auto p = __m512i(_mm512_cvtne2ps_pbh(high, low));
      _mm512_storeu_si512(w.p + r * w.row + j, p);
      sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
      p_sum = dot(p_sum, p, ones);
    }
    factor[r] = _mm512_cvtss_f32(exp2_of(set(old_top - new_top)));
    w.top[i + r] = new_top;
    w.sum[i + r] = w.sum[i + r] * factor[r] + _mm512_reduce_add_ps(sum);
    w.p_sum[i + r] = w.p_sum[i + r] * factor[r] + _mm512_reduce_add_ps(p_sum);
  }
}

// Adds the contribution of `keys`, which are packed, to queries [i, i + count) of the task. The
// task's queries begin at token `from` of the sequence.
void attend_rows(const Head& h, int64_t from, int64_t i, int64_t count, const Keys& keys,
                 const Workspace& w) {
  const Seen seen = keys_seen(h.first_key, h.start, from + i, count, keys);
  if (seen.nothing()) return;
  copy_rows(h.q, from + i, count, w.queries);
  V top[kRows];
  for (V& t : top) t = set(-FLT_MAX);  // Finite, so that top − top is 0.
  const int64_t begin = seen.any_begin / kStripe * kStripe, end = padded(seen.any_end, kLanes);
  for (int64_t key = begin; key < end; key += kStripe)
    with_vectors(std::min(kStripe, end - key) / kLanes,
                 [&](auto n) { score<n>(w, seen, h.scale, key, top); });
  float factor[kRows];
  softmax(w, begin, end, top, i, factor);
  multiply_seen({w.p, w.row, 2}, {w.values, w.value.lanes}, seen, w.out + i * w.value.lanes,
                factor);
}

// Attention of the queries [from, from + count). Sets w.out, which still must be divided by
// w.p_sum.
void attend(const Head& h, int64_t from, int64_t count, const Workspace& w) {
  std::fill_n(w.top, w.blocks.queries, -FLT_MAX);
  std::fill_n(w.sum, w.blocks.queries, 0.0f);
  std::fill_n(w.p_sum, w.blocks.queries, 0.0f);
  std::fill_n(w.out, w.blocks.queries * w.value.lanes, 0.0f);
  const int64_t first = h.first_key[h.start + from] - h.start, end = from + count;
  for (int64_t k = first / w.blocks.keys * w.blocks.keys; k < end; k += w.blocks.keys) {
    const Keys keys{k, std::min(w.blocks.keys, end - k)};
    pack_stripes(h.k, keys.begin, keys.count, w.keys);
    pack_pairs(h.v, keys.begin, keys.count, w.values);
    for (int64_t i = 0; i < count; i += kRows) {
      for (int64_t r = i; r < i + kRows; ++r) fetch_ahead(h.q, from + r, end);
      attend_rows(h, from, i, std::min<int64_t>(kRows, count - i), keys, w);
    }
  }
}

}  // namespace

void attention(const Args& a) {
  using A = Attention;
  const auto& desc = a.desc<A::Desc>();
  const int64_t heads = desc.heads, sequence = desc.sequence;
  const int64_t sequences = a.dim(A::q, 0) / sequence;
  const int64_t block = kPairForward.queries, blocks = (sequence + block - 1) / block;
  const bf16* o_base = a.base<bf16>(A::o);
  const float* lse_base = a.base<float>(A::lse);
  bf16* o = a.out<bf16>(A::o);
  float* lse = a.out<float>(A::lse);
  a.team().run(sequences * heads * blocks, [&](int64_t task, int worker) {
    // The last blocks of a sequence see the most keys, so they run first.
    const int64_t from = (blocks - 1 - task / (sequences * heads)) * block;
    const int64_t h = task % heads, start = task / heads % sequences * sequence;
    const auto rows = [&](int i) { return head_of(a, i, heads, start, h); };
    const Head head{rows(A::q), rows(A::k),
                    rows(A::v), a.in<int32_t>(A::first_key),
                    start,      float(desc.scale * 1.4426950408889634)};
    const Rows& v = head.v;
    Carver carver(a.thread_workspace<std::byte>(worker));
    const Workspace w(carver, {true, head.q.width, v.width}, sequence);
    const int64_t count = std::min(block, sequence - from);
    attend(head, from, count, w);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = start + from + i, at = row * v.row + h * v.width;
      if (o)
        write_row(w.out + i * w.value.lanes, 1 / w.p_sum[i], v.width, o_base ? o_base + at : o_base,
                  o + at);
      const float value = w.top[i] * kLn2 + std::log(w.sum[i]);
      if (lse) lse[row * heads + h] = lse_base ? lse_base[row * heads + h] + value : value;
    }
  });
}

}  // namespace birkhoff::cpu::avx512_bf16
