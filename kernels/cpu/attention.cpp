#include "kernels/attention.h"

#include "kernels/bodies.h"
#include "kernels/cpu/attention_workspace.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {

// Rows of head h, from token `start` on.
template <class T>
HWY_INLINE RowsOf<T> head_of(const Args& a, int i, int64_t heads, int64_t start, int64_t h) {
  const int64_t row = a.dim(i, 1), width = row / heads;
  return {a.in<T>(i) + start * row + h * width, row, width};
}

// The queries of the block that begins at `from`. Indices are relative to the sequence, which
// begins at token `start`.
QueryBlock queries_of(const int32_t* first_key, int64_t start, int64_t from, int64_t sequence) {
  QueryBlock b;
  for (int64_t t = from; t < std::min(from + kAttentionBlock, sequence); ++t)
    b.add(first_key[start + t] - start, t);
  b.close();
  return b;
}

template <class T>
void attend_blocks(const Args& a) {
  using A = Attention;
  const auto& desc = a.desc<A::Desc>();
  const int64_t heads = desc.heads, sequence = desc.sequence;
  const int64_t sequences = a.dim(A::q, 0) / sequence;
  const int64_t blocks = (sequence + kAttentionBlock - 1) / kAttentionBlock;
  const T* o_base = a.base<T>(A::o);
  const float* lse_base = a.base<float>(A::lse);
  T* o = a.out<T>(A::o);
  float* lse = a.out<float>(A::lse);
  a.team().run(sequences * heads * blocks, [&](int64_t task, int worker) HWY_ATTR {
    // The last blocks of a sequence see the most keys, so they run first.
    const int64_t from = (blocks - 1 - task / (sequences * heads)) * kAttentionBlock;
    const int64_t h = task % heads, start = task / heads % sequences * sequence;
    const auto rows = [&](int i) { return head_of<T>(a, i, heads, start, h); };
    const Head<T> head{rows(A::q), rows(A::k), rows(A::v), float(desc.scale)};
    const RowsOf<T>& v = head.v;
    Carver carver(a.thread_workspace<std::byte>(worker));
    const AttentionWorkspace w(carver, head.shape());
    const QueryBlock b = queries_of(a.in<int32_t>(A::first_key), start, from, sequence);
    attend(head, from, b, w);
    for (int64_t i = 0; i < b.count; ++i) {
      const int64_t row = start + from + i, at = row * v.row + h * v.width;
      if (o)
        write_row(w.out + i * v.width, 1 / w.sum[i], v.width, o_base ? o_base + at : o_base,
                  o + at);
      const float value = w.top[i] + std::log(w.sum[i]);
      if (lse) lse[row * heads + h] = lse_base ? lse_base[row * heads + h] + value : value;
    }
  });
}

template <class T>
struct HeadBackward : Head<T> {
  RowsOf<T> d_o, o;
  const float* lse;  // Stride `heads`.
  int64_t heads;
  bool wants_dq, wants_dk, wants_dv;
};

// For `keys`, replaces the scores s by p = exp(s − lse), and dp in d_scores by p·(dp − delta).
// Entries that no query may see are left undefined, since the products skip them.
void score_gradients(const QueryBlock& b, const Keys& keys, const AttentionBackwardWorkspace& w) {
  const Tag d;
  for (int64_t c = 0; c < b.columns(); c += int64_t(hn::Lanes(d))) {
    const Span span(b, c, keys);
    const auto lse = hn::Load(d, w.lse + c), delta = hn::Load(d, w.delta + c);
    for (int64_t j = span.begin; j < span.end; ++j) {
      float *s = w.scores + j * kAttentionBlock + c, *ds = w.d_scores + j * kAttentionBlock + c;
      const auto p = exp_or_nan(d, hn::Sub(hn::Load(d, s), lse));
      hn::Store(p, d, s);
      hn::Store(hn::Mul(p, hn::Sub(hn::Load(d, ds), delta)), d, ds);
    }
  }
}

// out[j] += Σ_i weights[j, i]·x[i] over the queries i of the block that see key keys.begin + j; x
// has the rows of the queries.
void add_over_queries(const float* weights, const Rows& x, const Keys& keys, const QueryBlock& b,
                      float* out) {
  int64_t begin[kAttentionBlock], end[kAttentionBlock];
  int64_t reached = 0, opened = 0;
  for (int64_t j = 0; j < keys.count; ++j) {
    while (reached < b.count && b.self[reached] < keys.begin + j) ++reached;
    while (opened < b.count && b.first[opened] <= keys.begin + j) ++opened;
    begin[j] = reached, end[j] = opened;
  }
  const Product p{.a = weights,
                  .a_row = kAttentionBlock,
                  .a_step = 1,
                  .b = x.data,
                  .b_row = x.row,
                  .out = out,
                  .out_row = x.width};
  add_product(
      p, keys.count, x.width, [&](int64_t j) { return begin[j]; },
      [&](int64_t j) { return end[j]; });
}

// Adds the contributions of queries [from, from + b.count) to w.dk and w.dv, and sets w.dq. w.dq
// and w.dk still lack the factor scale.
template <class T>
void backward_block(const HeadBackward<T>& h, int64_t from, const QueryBlock& b,
                    const AttentionBackwardWorkspace& w) {
  const Rows q = widened(h.q, from, b.count, w.wide_q);
  const Rows d_o = widened(h.d_o, from, b.count, w.wide_d_o);
  pack_transposed(q, b.count, h.scale, w.queries);
  pack_transposed(d_o, b.count, 1, w.d_outs);
  for (int64_t i = 0; i < kAttentionBlock; ++i) {
    w.lse[i] = i < b.count ? h.lse[(from + i) * h.heads] : 0;
    w.delta[i] = i < b.count ? dot(d_o.at(i), h.o.at(from + i), h.o.width) : 0;
  }
  std::fill_n(w.dq, b.count * q.width, 0.0f);
  b.each_keys([&](const Keys& keys) HWY_ATTR {
    scores_of(widened(h.v, keys.begin, keys.count, w.wide), keys, w.d_outs, b, w.d_scores);
    const Rows k = widened(h.k, keys.begin, keys.count, w.wide);  // Used again for dq.
    scores_of(k, keys, w.queries, b, w.scores);
    score_gradients(b, keys, w);
    if (h.wants_dq) add_over_keys(w.d_scores, k, keys, b, w.dq);
    if (h.wants_dk) add_over_queries(w.d_scores, q, keys, b, w.dk + keys.begin * q.width);
    if (h.wants_dv) add_over_queries(w.scores, d_o, keys, b, w.dv + keys.begin * d_o.width);
  });
}

template <class T>
void backward_heads(const Args& a) {
  using B = AttentionBackward;
  const auto& desc = a.desc<B::Desc>();
  const int64_t heads = desc.heads, sequence = desc.sequence;
  const float scale = float(desc.scale);
  a.team().run(a.dim(B::q, 0) / sequence * heads, [&](int64_t task, int worker) HWY_ATTR {
    const int64_t h = task % heads, start = task / heads * sequence;
    const auto rows = [&](int i) { return head_of<T>(a, i, heads, start, h); };
    const HeadBackward<T> head{{rows(B::q), rows(B::k), rows(B::v), scale},
                               rows(B::d_o),
                               rows(B::o),
                               a.in<float>(B::lse) + start * heads + h,
                               heads,
                               a.wanted(B::dq),
                               a.wanted(B::dk),
                               a.wanted(B::dv)};
    Carver carver(a.thread_workspace<std::byte>(worker));
    const AttentionBackwardWorkspace w(carver, head.shape(), sequence);
    const auto write = [&](int output, const float* x, float factor, int64_t from, int64_t count,
                           const RowsOf<T>& like) HWY_ATTR {
      if (!a.wanted(output)) return;
      const T* base = a.base<T>(output);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t at = (start + from + i) * like.row + h * like.width;
        write_row(x + i * like.width, factor, like.width, base ? base + at : base,
                  a.out<T>(output) + at);
      }
    };
    std::fill_n(w.dk, sequence * head.q.width, 0.0f);
    std::fill_n(w.dv, sequence * head.v.width, 0.0f);
    for (int64_t from = 0; from < sequence; from += kAttentionBlock) {
      const QueryBlock b = queries_of(a.in<int32_t>(B::first_key), start, from, sequence);
      backward_block(head, from, b, w);
      write(B::dq, w.dq, scale, from, b.count, head.q);
    }
    write(B::dk, w.dk, scale, 0, sequence, head.k);
    write(B::dv, w.dv, 1, 0, sequence, head.v);
  });
}

}  // namespace

void AttentionBlocks(const Args& a) {
  with_storage(a.inputs[Attention::q].spec->dtype, [&](auto t) { attend_blocks<decltype(t)>(a); });
}
void AttentionBackwardHeads(const Args& a) {
  with_storage(a.inputs[AttentionBackward::q].spec->dtype,
               [&](auto t) { backward_heads<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {
namespace {

// first_key is data and indexes memory, so it is checked where it is read.
void check_first_keys(const int32_t* first_key, int64_t tokens, int64_t sequence) {
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t start = t / sequence * sequence, from = t == start ? start : first_key[t - 1];
    check(from <= first_key[t] && first_key[t] <= t,
          "[attention] the first key of token {} is {}, but must be in [{}, {}]", t, first_key[t],
          from, t);
  }
}

void check_keys(const Args& a, int q, int first_key) {
  check_first_keys(a.in<int32_t>(first_key), a.dim(q, 0), a.desc<Attention::Desc>().sequence);
}

HeadShape head_shape(const TensorSpec& q, const TensorSpec& v, const Attention::Desc& d) {
  return {q.dtype == DType::bf16, q.shape[1] / d.heads, v.shape[1] / d.heads};
}

template <int kQ>
bool takes_pairs(Specs in, const Desc&, const Features& features) {
  return features.avx512_bf16 && in[kQ].dtype == DType::bf16;
}

template <class Scratch, int kQ, int kV>
Workspace scratch(Specs in, const Desc& desc) {
  const auto& d = desc.as<Attention::Desc>();
  const HeadShape h = head_shape(in[kQ], in[kV], d);
  if constexpr (requires { Scratch::bytes(h); })
    return {.per_thread = Scratch::bytes(h)};
  else
    return {.per_thread = Scratch::bytes(h, d.sequence)};
}

HWY_EXPORT(AttentionBlocks);
HWY_EXPORT(AttentionBackwardHeads);

using A = Attention;
using B = AttentionBackward;

}  // namespace

constinit const Implementation attention[] = {
    {.name = "avx512_bf16",
     .accepts = takes_pairs<A::q>,
     .workspace = scratch<PairAttentionWorkspace, A::q, A::v>,
     .run =
         [](const Args& a) {
           check_keys(a, A::q, A::first_key);
           avx512_bf16::attention(a);
         }},
    {.name = "cpu",
     .workspace = scratch<AttentionWorkspace, A::q, A::v>,
     .run =
         [](const Args& a) {
           check_keys(a, A::q, A::first_key);
           HWY_DYNAMIC_DISPATCH(AttentionBlocks)(a);
         }},
};

constinit const Implementation attention_backward[] = {
    {.name = "avx512_bf16",
     .accepts = takes_pairs<B::q>,
     .workspace = scratch<PairAttentionBackwardWorkspace, B::q, B::v>,
     .run =
         [](const Args& a) {
           check_keys(a, B::q, B::first_key);
           avx512_bf16::attention_backward(a);
         }},
    {.name = "cpu",
     .workspace = scratch<AttentionBackwardWorkspace, B::q, B::v>,
     .run =
         [](const Args& a) {
           check_keys(a, B::q, B::first_key);
           HWY_DYNAMIC_DISPATCH(AttentionBackwardHeads)(a);
         }},
};

}  // namespace birkhoff::cpu
#endif
