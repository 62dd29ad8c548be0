// Gradients of attention with products of pairs of bf16. A task is a (sequence, head) and walks
// over blocks of 256 keys and, for each of these, over the blocks of 128 queries that see any of
// its keys. A block's dk and dv stay in L2 until they are written; dq of the whole sequence is kept
// in f32.
//
// Tiles of 8 queries and 48 keys compute p = exp(s − lse) and ds = p·(dp − delta) in registers.
// Rounded to bf16, both are stored as pairs of queries, for dv and dk, and ds also as pairs of
// keys, for dq. Entries that no query may see are left undefined, since the products skip them.
#include <cmath>

#include "kernels/attention.h"
#include "kernels/bodies.h"
// must come last:
#include "kernels/cpu/avx512_bf16/attention_product-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

using Workspace = PairAttentionBackwardWorkspace;

// One head of one sequence, which begins at token `start`.
struct Head {
  Rows q, k, v, d_o, o;
  const float* lse;  // Stride `heads`.
  int64_t heads;
  const int32_t* first_key;
  int64_t start, sequence;
  float scale;  // Multiplied by log2 e.
  bool wants_dq, wants_dk, wants_dv;
};

// Queries [from, from + count) and the packed keys.
struct Block {
  int64_t from, count;
  Keys keys;
};

// Computes p and ds for queries [i, i + 8) of a block and keys [key, key + 16·kV).
template <int kV>
BIRKHOFF_INLINE void score_gradients(const Workspace& w, const Block& b, float scale, int64_t i,
                                     int64_t key) {
  const float *lse = w.lse + b.from + i, *delta = w.delta + b.from + i;
  const auto pairs_at = [&](uint32_t* pairs, int r, int v) {
    return pairs + ((key / kLanes + v) * (w.blocks.queries / 2) + (i + r) / 2) * kLanes;
  };
  alignas(64) float p[kRows][kV * kLanes];
  V sum[kRows][kV] = {};
  add_pairs(sum, PairRows{w.queries + i * w.width.row, w.width.row, 2},
            Factor{w.keys + key * w.width.pairs, kStripe}, 0, w.width.pairs);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; r += 2)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) {
      const V p0 = exp2_of(_mm512_fmsub_ps(sum[r][v], set(scale), set(lse[r])));
      const V p1 = exp2_of(_mm512_fmsub_ps(sum[r + 1][v], set(scale), set(lse[r + 1])));
      store(p0, p[r] + v * kLanes), store(p1, p[r + 1] + v * kLanes);
      _mm512_storeu_si512(pairs_at(w.p, r, v), paired(__m512i(_mm512_cvtne2ps_pbh(p1, p0))));
    }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) sum[r][v] = zero();
  add_pairs(sum, PairRows{w.d_outs + i * w.value.row, w.value.row, 2},
            Factor{w.values + key * w.value.pairs, kStripe}, 0, w.value.pairs);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; r += 2)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) {
      const auto ds = [&](int at) {
        return _mm512_mul_ps(load(p[at] + v * kLanes), _mm512_sub_ps(sum[at][v], set(delta[at])));
      };
      const auto both = __m512i(_mm512_cvtne2ps_pbh(ds(r + 1), ds(r)));
      bf16* row = w.d_scores + (i + r) * w.blocks.keys + key + v * kLanes;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row), _mm512_castsi512_si256(both));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + w.blocks.keys),
                          _mm512_extracti64x4_epi64(both, 1));
      _mm512_storeu_si512(pairs_at(w.ds, r, v), paired(both));
    }
}

// Adds the contributions of the block's queries to dk and dv of its keys. Each key is seen by a
// range of queries.
void add_to_keys(const Head& h, const Block& b, const Workspace& w) {
  const int32_t* first_key = h.first_key + h.start + b.from;
  int64_t opened = 0;  // Number of queries whose first key is at or before the current key.
  for (int64_t j = 0; j < b.keys.count; j += kRows) {
    Seen seen;
    for (int64_t r = 0; r < kRows; ++r) {
      const int64_t key = b.keys.begin + std::min(j + r, b.keys.count - 1);
      while (opened < b.count && first_key[opened] - h.start <= key) ++opened;
      seen.begin[r] = int32_t(std::clamp<int64_t>(key - b.from, 0, b.count));
      seen.end[r] = std::max(int32_t(opened), seen.begin[r]);
    }
    seen.close();
    if (seen.nothing()) continue;
    const int64_t at = j / kLanes * kLanes * (w.blocks.queries / 2) + j % kLanes;
    const auto pairs = [&](const uint32_t* x) {
      return PairRows{reinterpret_cast<const bf16*>(x + at), 2, 2 * kLanes};
    };
    if (h.wants_dk)
      multiply_seen(pairs(w.ds), {w.query_pairs, w.width.lanes}, seen, w.dk + j * w.width.lanes);
    if (h.wants_dv)
      multiply_seen(pairs(w.p), {w.d_pairs, w.value.lanes}, seen, w.dv + j * w.value.lanes);
  }
}

// Adds the contributions of a block's queries to dq, dk and dv. dq and dk still lack the factor
// scale.
void add_block(const Head& h, const Block& b, const Workspace& w) {
  copy_rows(h.q, b.from, b.count, w.queries);
  copy_rows(h.d_o, b.from, b.count, w.d_outs);
  pack_pairs(h.q, b.from, b.count, w.query_pairs);
  pack_pairs(h.d_o, b.from, b.count, w.d_pairs);
  Seen seen[kPairBackward.queries / kRows];
  for (int64_t i = 0; i < b.count; i += kRows)
    seen[i / kRows] =
        keys_seen(h.first_key, h.start, b.from + i, std::min<int64_t>(kRows, b.count - i), b.keys);
  for (int64_t key = 0; key < b.keys.count; key += kStripe)
    for (int64_t i = 0; i < b.count; i += kRows) {
      const Seen& rows = seen[i / kRows];
      const int64_t end = std::min(padded(rows.any_end, kLanes), key + kStripe);
      if (rows.nothing() || end <= key || rows.any_begin >= end) continue;
      with_vectors((end - key) / kLanes,
                   [&](auto n) { score_gradients<n>(w, b, h.scale, i, key); });
    }
  for (int64_t i = 0; i < b.count && h.wants_dq; i += kRows)
    if (!seen[i / kRows].nothing())
      multiply_seen({w.d_scores + i * w.blocks.keys, w.blocks.keys, 2},
                    {w.key_pairs, w.width.lanes}, seen[i / kRows],
                    w.dq + (b.from + i) * w.width.lanes);
  add_to_keys(h, b, w);
}

// Computes lse and delta of all queries; the padding rows of the last tile get 0.
void prepare(const Head& h, const Workspace& w) {
  for (int64_t t = 0; t < padded(h.sequence, kRows); ++t) {
    V sum = zero();
    fetch_ahead(h.d_o, t, h.sequence);
    fetch_ahead(h.o, t, h.sequence);
    for (int64_t c = 0; c < h.o.width && t < h.sequence; c += 32)
      sum = dot(sum, load_32(h.d_o.at(t), c, h.o.width), load_32(h.o.at(t), c, h.o.width));
    w.delta[t] = _mm512_reduce_add_ps(sum);
    w.lse[t] = t < h.sequence ? h.lse[t * h.heads] * kLog2E : 0;
  }
}

// Processes the block of keys that begins at `begin`: sets w.dk and w.dv and adds to w.dq.
Keys add_keys(const Head& h, int64_t begin, const Workspace& w) {
  const Keys keys{begin, std::min(w.blocks.keys, h.sequence - begin)};
  pack_stripes(h.k, begin, keys.count, w.keys);
  pack_stripes(h.v, begin, keys.count, w.values);
  if (h.wants_dq) pack_pairs(h.k, begin, keys.count, w.key_pairs);
  std::fill_n(w.dk, w.blocks.keys * w.width.lanes, 0.0f);
  std::fill_n(w.dv, w.blocks.keys * w.value.lanes, 0.0f);
  const int64_t block = w.blocks.queries;
  for (int64_t from = begin / block * block; from < h.sequence; from += block) {
    if (h.first_key[h.start + from] - h.start >= begin + keys.count) break;
    add_block(h, {from, std::min(block, h.sequence - from), keys}, w);
  }
  return keys;
}

}  // namespace

void attention_backward(const Args& a) {
  using B = AttentionBackward;
  const auto& desc = a.desc<B::Desc>();
  const int64_t heads = desc.heads, sequence = desc.sequence;
  const float scale = float(desc.scale);
  a.team().run(a.dim(B::q, 0) / sequence * heads, [&](int64_t task, int worker) {
    const int64_t h = task % heads, start = task / heads * sequence;
    const auto rows = [&](int i) { return head_of(a, i, heads, start, h); };
    const Head head{.q = rows(B::q),
                    .k = rows(B::k),
                    .v = rows(B::v),
                    .d_o = rows(B::d_o),
                    .o = rows(B::o),
                    .lse = a.in<float>(B::lse) + start * heads + h,
                    .heads = heads,
                    .first_key = a.in<int32_t>(B::first_key),
                    .start = start,
                    .sequence = sequence,
                    .scale = float(desc.scale * 1.4426950408889634),
                    .wants_dq = a.wanted(B::dq),
                    .wants_dk = a.wanted(B::dk),
                    .wants_dv = a.wanted(B::dv)};
    Carver carver(a.thread_workspace<std::byte>(worker));
    const Workspace w(carver, {true, head.q.width, head.v.width}, sequence);
    const auto write = [&](int output, const float* x, float factor, const Keys& at,
                           const Rows& like) {
      if (!a.wanted(output)) return;
      const bf16* base = a.base<bf16>(output);
      for (int64_t i = 0; i < at.count; ++i, x += PairWidth(like.width).lanes) {
        const int64_t to = (start + at.begin + i) * like.row + h * like.width;
        write_row(x, factor, like.width, base ? base + to : base, a.out<bf16>(output) + to);
      }
    };
    prepare(head, w);
    std::fill_n(w.dq, padded(sequence, kRows) * w.width.lanes, 0.0f);
    for (int64_t begin = 0; begin < sequence; begin += w.blocks.keys) {
      const Keys keys = add_keys(head, begin, w);
      write(B::dk, w.dk, scale, keys, head.k);
      write(B::dv, w.dv, 1, keys, head.v);
    }
    write(B::dq, w.dq, scale, {0, sequence}, head.q);
  });
}

}  // namespace birkhoff::cpu::avx512_bf16
