#pragma once
// The learned read-out of the residual streams (DeepSeek-V4, arXiv 2606.19348); the plain read-out
// is sum_streams.
//
//   v = vec(x), rho = rsqrt(mean(v²) + eps), u = rho·(v·w), p = σ(scale·u + base) + weight_eps
//   y = Σ_i p_i·x_i
//
// x [T, n·C], w [n·C, n], scale [1], base [n] → y [T, C], u [T, n], rho [T]. x, y and their
// gradients are of storage type, the rest is wide (kernels/storage.h); w is not rounded.
#include "kernels/operator.h"

namespace birkhoff {

struct ReadoutDesc {
  int n = 1;
  double eps = 1e-20;        // Epsilon of the norm.
  double weight_eps = 1e-6;  // Added to each weight p_i.
  static void visit(auto& d, auto&& field) {
    field("n", d.n), field("eps", d.eps), field("weight_eps", d.weight_eps);
  }
};

struct Readout {
  enum In { x, w, scale, base };
  enum Out { y, u, rho };  // u and rho are saved values
  using Desc = ReadoutDesc;
};
extern const Operator kReadout;

// dp_i = <dy, x_i>;   dL = dp·σ(1 − σ);   du = scale·dL
// dx_j = p_j·dy + rho·du·wᵀ − x_j·rho²·Σ(du·u)/(n·C);   dw = Σ_t vᵀ·(rho·du)
// dscale = Σ dL·u;   dbase = Σ_t dL            sums over tokens as in mhc_open_backward
struct ReadoutBackward {
  enum In { dy, x, w, scale, base, u, rho };
  enum Out { dx, dw, dscale, dbase };
  using Desc = ReadoutDesc;
};
extern const Operator kReadoutBackward;

}  // namespace birkhoff
