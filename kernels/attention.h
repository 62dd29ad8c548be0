#pragma once
// Causal attention with keys and values of different widths, over packed sequences.
//
//   o[t] = Σ_j p[t,j]·v[j],   p[t,j] = exp(s[t,j] − lse[t]),   s[t,j] = scale·q[t]·k[j]
//   lse[t] = log Σ_j exp(s[t,j])                   j from first_key[t] to t, for each head alone
//   q, k [T, heads·D], v [T, heads·Dv], first_key i32 [T]
//   → o [T, heads·Dv], lse [T, heads] (saved)
//
// q, k, v, o and their gradients are of storage type, lse is wide (kernels/storage.h). Sums over
// tokens are wide; results are rounded once. With bf16 a body may round p and ds where they are
// factors of a product, as o's weights (divided by their own sum then), in dq, dk and dv: where
// products are of pairs of bf16 (AVX512-BF16) the cpu does. Each is off by 2^-8 of itself
// at most, so o by 2^-8·Σ p·|v − o|, dq by 2^-8·Σ |ds|·|k|, and so the others; lse is not.
//
// Tokens come in sequences of `sequence`; key indices are rows of k. REQUIRES that first_key[t] is
// at most t, in the sequence of t, and does not decrease within a sequence: its first token for
// plain causal attention, the first token of t's document to keep documents apart. The cpu body
// throws InternalError else. A key that a token may not see is not multiplied by 0 but left out, so
// that not even a NaN in it reaches the token, forward or backward.
//
// Softmax by blocks with a running maximum (Milakov & Gimelshein, arXiv 1805.02867) and the
// backward from lse (Dao et al., FlashAttention, arXiv 2205.14135; FlashAttention-2, arXiv
// 2307.08691): no T×T matrix exists. Flops count the pairs j ≤ t of each sequence, wherever
// documents begin.
#include "kernels/operator.h"

namespace birkhoff {

struct Attention {
  enum In { q, k, v, first_key };
  enum Out { o, lse };
  struct Desc {
    int64_t heads = 1;
    int64_t sequence = 0;  // divides T
    double scale = 1;
    static void visit(auto& d, auto&& field) {
      field("heads", d.heads), field("sequence", d.sequence), field("scale", d.scale);
    }
  };
};
extern const Operator kAttention;

// With delta[t] = do[t]·o[t] (o and lse as they are given),
// ds[t,j] = scale·p[t,j]·(do[t]·v[j] − delta[t]):
//   dq[t] = Σ_j ds[t,j]·k[j],   dk[j] = Σ_t ds[t,j]·q[t],   dv[j] = Σ_t p[t,j]·do[t]
// One task owns the gradients of a (sequence, head), so that sums over t have one order.
struct AttentionBackward {
  enum In { d_o, q, k, v, o, lse, first_key };  // d_o: `do` is a keyword
  enum Out { dq, dk, dv };
  using Desc = Attention::Desc;
};
extern const Operator kAttentionBackward;

}  // namespace birkhoff
