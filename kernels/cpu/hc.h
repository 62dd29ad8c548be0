#pragma once
// Sizes and scratch memory of the cpu bodies of hc. They depend only on the shape, so that the
// results do not depend on the threads.
#include "kernels/cpu/projection.h"
#include "kernels/hc.h"

namespace birkhoff::cpu {

struct HcSizes {
  int64_t tokens, n, width;  // T, n, C

  // The sizes of a call of hc_open or hc_open_backward, which begin with the same inputs.
  static HcSizes of(Specs in, const Desc& d) {
    const Shape& x = in[HcOpen::x].shape;
    const int64_t n = d.as<HcDesc>().n;
    return {x[0], n, x[1] / n};
  }

  int64_t rows() const { return n + 2; }                                         // Rows of theta.
  int64_t columns() const { return rows() * n; }                                 // K
  int64_t padded() const { return (columns() + kLanes - 1) / kLanes * kLanes; }  // K'
};

// Scratch memory for one token. Arrays [K'] are in the order of b.
struct HcScratch {
  float *alpha, *b;    // [K'] shared by all tokens; alpha is expanded per column.
  float *u, *tanh_u;   // [K']
  float* c;            // [K'] H~
  float* d;            // [K'] gradient of H~, then rstd·du
  float *rstd, *pull;  // [n]; pull = −rstd²/C·Σ du·u
  float* products;     // [n+3] inner products of one residual stream.
  HcScratch(Scratch s, const HcSizes& z)
      : alpha(s.take(z.padded())),
        b(s.take(z.padded())),
        u(s.take(z.padded())),
        tanh_u(s.take(z.padded())),
        c(s.take(z.padded())),
        d(s.take(z.padded())),
        rstd(s.take(z.n)),
        pull(s.take(z.n)),
        products(s.take(z.rows() + 1)),
        bytes(s.bytes()) {}
  size_t bytes;
};

// Partial sums of one slab (a range of tokens): dtheta, and per column Σ dH~·tanh(u) and Σ dH~. The
// last two add up single values of thousands of tokens, so they are double.
struct HcSlab {
  float* dtheta;            // [n+2, C]
  double *products, *sums;  // [K]
  HcSlab(Scratch s, const HcSizes& z)
      : dtheta(s.take(z.rows() * z.width)),
        products(reinterpret_cast<double*>(s.take(2 * z.columns()))),
        sums(reinterpret_cast<double*>(s.take(2 * z.columns()))),
        bytes(s.bytes()) {}
  size_t bytes;
};

inline size_t hc_slab_bytes(const HcSizes& z) { return HcSlab(Scratch(nullptr), z).bytes; }

}  // namespace birkhoff::cpu
