#pragma once
// Hyper-connections (HC, arXiv 2409.19606; arXiv 2512.24880 Eq. 5): the residual connection that
// mHC constrains. A sublayer F sits between hc_open and mhc_close (kernels/mhc.h, which also
// explains `link`): x' = H_res·x + H_postᵀ·F(H_pre·x), where x [n, C] is a token's n residual
// streams.
//
//   x̃_j      = x_j·rstd_j,  rstd_j = rsqrt(mean(x_j²) + eps)     one norm per residual stream
//   u_rj     = theta_r·x̃_j             theta [n+2, C]: a row for pre, one for post, n for res
//   H~       = alpha ⊙ tanh(u) + b     alpha: pre, post, res
//   pre_j = H~_0j   post_j = H~_1j   res_ij = H~_{2+i,j}   h = Σ_j pre_j·x_j
//
// The norms have no gain. There is no sigmoid and no Sinkhorn iteration, so nothing bounds the rows
// or columns of res. b [K] and u hold the entries of H~ row by row, K = n² + 2n: n pre, n post,
// then res row-major at i·n + j, the same order as in mhc. Static HC uses b alone: theta and alpha
// are absent, and u and rstd are not outputs.
//
// x [T, n·C], theta [n+2, C], alpha [3], b [K] → h [T, C], link [T, n·C], post [T, n], res [T, n²],
// u [T, K], rstd [T, n]. x, h and their gradients are of storage type, everything else is wide
// (kernels/storage.h); theta is not rounded. Shapes that do not fit throw InternalError.
#include "kernels/operator.h"

namespace birkhoff {

struct HcDesc {
  int n = 1;
  double eps = 1e-20;  // Epsilon of the norms.

  int64_t columns() const { return int64_t(n) * n + 2 * int64_t(n); }
  // Index of the alpha that scales column k.
  int group(int64_t k) const { return k < n ? 0 : k < 2 * n ? 1 : 2; }
  static void visit(auto& d, auto&& field) { field("n", d.n), field("eps", d.eps); }
};

struct HcOpen {
  enum In { x, theta, alpha, b };
  enum Out { h, link, post, res, u, rstd };  // u and rstd are saved values
  using Desc = HcDesc;
};
extern const Operator kHcOpen;

// dH~ consists of dpre_j = <dh, x_j>, the given dpost, and dres_ij = <dlink_i, x_j> + the given
// dres_ij (kernels/mhc.h says why). With du = alpha ⊙ dH~ ⊙ (1 − tanh²(u)):
//   dx_j   = Σ_i res_ij·dlink_i + pre_j·dh + rstd_j·Σ_r du_rj·theta_r
//            − x_j·rstd_j²/C·Σ_r du_rj·u_rj
//   db     = Σ_t dH~    dtheta_r = Σ_t Σ_j rstd_j·du_rj·x_j    dalpha = Σ dH~·tanh(u) of each group
// This takes one pass over the rows. dh, dlink, dpost and dres may each be absent, meaning 0;
// theta, alpha, u and rstd are absent in static HC, where dtheta and dalpha are not outputs. Tokens
// are divided into at most 8 slabs of consecutive tokens. Sums over tokens run in token order
// within a slab and then over the slabs in order, so their bits do not depend on the threads.
struct HcOpenBackward {
  enum In { x, theta, alpha, b, u, rstd, dh, dlink, dpost, dres };
  enum Out { dx, db, dtheta, dalpha };
  using Desc = HcDesc;
};
extern const Operator kHcOpenBackward;

}  // namespace birkhoff
