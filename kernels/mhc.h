#pragma once
// Manifold-constrained hyper-connections (mHC, arXiv 2512.24880): a pair of operators around every
// sublayer F. Per token the residual state x is [n, C], n residual streams, and
// x' = H_res·x + H_postᵀ·F(H_pre·x).
//
//   h, link, post, res, … = mhc_open(x, phi, alpha, b)
//   x'                    = mhc_close(link, F(h), post, res)
//
//   v    = vec(x)                     [n·C], residual stream 0's C values first
//   rho  = rsqrt(mean(v²) + eps)      one RMSNorm over all n·C values; its weight is part of phi
//   u    = rho·(v·phi)                [K], K = n² + 2n: n pre, n post, then res row-major i·n + j
//   H~   = alpha ⊙ u + b              alpha: pre, post, res
//   pre  = σ(H~pre)   post = 2σ(H~post)   res = SinkhornKnopp(H~res)   h = Σ_i pre_i·x_i
//   x'_i = Σ_j res_ij·x_j + post_i·F(h)
//
// x [T, n·C], phi [n·C, K], alpha [3], b [K] → h [T, C], link [T, n·C], post [T, n], res [T, n²],
// u [T, K], rho [T]; f, x' likewise [T, C], [T, n·C]. x, h, f, x' and their gradients are of
// storage type, everything else is wide (kernels/storage.h). phi is not rounded, except in the
// following bodies.
//
// If the residual streams are bf16, n·C is even and the processor multiplies pairs of bf16
// (AVX512-BF16), two products take bf16 factors; everything else is f32 there as well:
//   v·phi    phi is split into a sum of two bf16, which is exact to 2^-17. |error of u| ≤
//            2^-17·rho·Σ|v·phi|, as random as the dropped digits. At n = 4 and C = 512, 1280, 2560
//            u is off by 2.5e-6 in norm (f32 alone: 0.2e-6 to 0.5e-6), res by 1.2e-6 to 2.1e-6.
//   dz·phiᵀ  dz and phi are each rounded to one bf16. A term of dx is off by at most 2^-7 of
//            itself, and dx, which is rounded to bf16 anyway, by 1.9e-3 to 2.2e-3 in norm instead
//            of 1.7e-3 (phi with standard deviation 0.02, alpha 1, dpost and dres with standard
//            deviation √C, which is harder than in training).
// dphi keeps f32 factors: with dz as bf16 it would be off by 1.6e-3 in norm instead of 2e-7.
//
// hc_open (kernels/hc.h) computes h, link, post and res in another way and is also closed by
// mhc_close.
//
// `link` is x under a private name that only mhc_close reads. By convention its gradient is dx'
// itself, which stands for the gradients of x and res in mhc_close: mhc_open_backward computes
// resᵀ·dx' and <dx'_i, x_j> from it. So dx is written once, x is read once, and no sum of dx is
// rounded in between: the backward moves 19C elements per token at n = 4 instead of 39C. link, post
// and res of a mhc_close must come from the same open.
#include "kernels/operator.h"
#include "kernels/streams.h"

namespace birkhoff {

// How res is computed from the logits L = H~res [n, n]; res[i, j] weights residual stream j in
// residual stream i. Both forms end with the rows, so row sums are exact (apart from eps) and
// column sums are approximate.
//   paper  `iterations` × (divide by column sums, then by row sums) of exp(L); no eps. The first
//          pair is done in log space: after it no sum is below 1/n², so nothing under- or overflows
//          at logits of ±100 and beyond.
//   v4     (DeepSeek-V4) M = softmax(L over i) + e; M /= row sums + e; then iterations − 1 × (M /=
//          column sums + e; M /= row sums + e), and pre = σ + e; e = sinkhorn_eps. DeepSeek's code
//          keeps the matrix transposed (comb[j, i]), so its "softmax over the last dim" is over our
//          i, and its columns of phi and b that belong to res are transposed relative to ours.
enum class SinkhornForm : int { paper, v4 };
inline std::string_view name_of(SinkhornForm form) {
  return form == SinkhornForm::v4 ? "v4" : "paper";
}

struct MhcDesc {
  int n = 1;
  double eps = 1e-20;  // Epsilon of the norm.
  int iterations = 20;
  SinkhornForm sinkhorn = SinkhornForm::paper;
  double sinkhorn_eps = 1e-6;  // Used by the v4 form only.

  int64_t columns() const { return int64_t(n) * n + 2 * int64_t(n); }
  // Index of the alpha that scales column k.
  int group(int64_t k) const { return k < n ? 0 : k < 2 * n ? 1 : 2; }
  // The e that is added to pre.
  double pre_eps() const { return sinkhorn == SinkhornForm::v4 ? sinkhorn_eps : 0; }
  static void visit(auto& d, auto&& field) {
    field("n", d.n), field("eps", d.eps), field("iterations", d.iterations);
    field("sinkhorn", name_of(d.sinkhorn)), field("sinkhorn_eps", d.sinkhorn_eps);
  }
};

struct MhcOpen {
  enum In { x, phi, alpha, b };
  enum Out { h, link, post, res, u, rho };  // u and rho are saved values
  using Desc = MhcDesc;
};
extern const Operator kMhcOpen;

// The whole backward except mhc_close_backward, in one pass over the rows (res, pre and post are
// recomputed from u):
//   dpre_i = <dh, x_i>;   dres_ij = <dlink_i, x_j> + the given dres_ij;   du = alpha ⊙ dH~
//   dx_j   = Σ_i res_ij·dlink_i + pre_j·dh + rho·du·phiᵀ + 2·x_j·ds,
//   ds     = −½·Σ(du·u)/(Σv² + n·C·eps)
//   dphi   = Σ_t vᵀ·(rho·du)    dalpha = Σ dH~·u of each group    db = Σ_t dH~
// dh, dlink, dpost and dres may each be absent, meaning 0. Tokens are divided into at most 8 slabs
// of consecutive tokens; dphi, dalpha and db are summed in token order within a slab and then over
// the slabs in order, so their bits do not depend on the threads.
struct MhcOpenBackward {
  enum In { x, phi, alpha, b, u, rho, dh, dlink, dpost, dres };
  enum Out { dx, dphi, dalpha, db };
  using Desc = MhcDesc;
};
extern const Operator kMhcOpenBackward;

struct MhcClose {
  enum In { link, f, post, res };
  enum Out { y };
  using Desc = StreamsDesc;
};
extern const Operator kMhcClose;

// df = Σ_i post_i·dx'_i    dpost_i = <dx'_i, f>
// dy itself stands for the gradients of link and res (see `link` above), so they are not outputs.
struct MhcCloseBackward {
  enum In { dy, f, post };
  enum Out { df, dpost };
  using Desc = StreamsDesc;
};
extern const Operator kMhcCloseBackward;

}  // namespace birkhoff
