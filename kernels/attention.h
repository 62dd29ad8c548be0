#pragma once
// Causal attention with keys and values of different widths, over packed sequences.
//
//   o[t] = Σ_j p[t,j]·v[j],   p[t,j] = exp(s[t,j] − lse[t]),   s[t,j] = scale·q[t]·k[j]
//   lse[t] = log Σ_j exp(s[t,j])            j from first_key[t] to t, for each head separately
//   q, k [T, heads·D], v [T, heads·Dv], first_key i32 [T]
//   → o [T, heads·Dv], lse [T, heads] (saved)
//
// q, k, v, o and their gradients are of storage type, lse is wide (kernels/storage.h). Sums over
// tokens are wide; results are rounded once. With bf16 a body may round p and ds to bf16 where they
// are factors of a product: p as the weights of o (which is then divided by the sum of the rounded
// weights) and of dv, ds in dq and dk. The cpu body does so where it multiplies pairs of bf16
// (AVX512-BF16). Each rounded factor is off by at most 2^-8 of itself, so o is off by at
// most 2^-8·Σ p·|v − o|, dq by 2^-8·Σ |ds|·|k|, and dk and dv likewise. lse is not affected.
//
// Tokens come in sequences of `sequence` tokens; key indices are rows of k. REQUIRES that
// first_key[t] is at most t, lies in the sequence of t, and does not decrease within a sequence. It
// is the sequence's first token for plain causal attention, or the first token of t's document to
// keep documents apart. The cpu body throws InternalError otherwise. A key that a token may not see
// is skipped rather than multiplied by 0, so that not even a NaN in it reaches the token, forward
// or backward.
//
// The softmax is computed block by block with a running maximum (Milakov & Gimelshein, arXiv
// 1805.02867) and the backward starts from lse (Dao et al., FlashAttention, arXiv 2205.14135;
// FlashAttention-2, arXiv 2307.08691), so no T×T matrix exists. Flops count the pairs j ≤ t of each
// sequence, wherever documents begin.
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

// With delta[t] = do[t]·o[t] (o and lse are taken as given) and
// ds[t,j] = scale·p[t,j]·(do[t]·v[j] − delta[t]):
//   dq[t] = Σ_j ds[t,j]·k[j],   dk[j] = Σ_t ds[t,j]·q[t],   dv[j] = Σ_t p[t,j]·do[t]
// One task owns the gradients of a (sequence, head), so that sums over t have a fixed order.
struct AttentionBackward {
  enum In { d_o, q, k, v, o, lse, first_key };  // d_o because `do` is a keyword
  enum Out { dq, dk, dv };
  using Desc = Attention::Desc;
};
extern const Operator kAttentionBackward;

}  // namespace birkhoff
