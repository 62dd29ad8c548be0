#pragma once
// Sizes and scratch memory of the cpu bodies that project a token's residual streams v [n·C] onto K
// columns (mhc, readout): v·phi and its gradients dz·phiᵀ and vᵀ·dz. They depend only on the shape,
// so that the results do not depend on the threads.
//
// phi [n·C, K] is packed once per call into panels of kPanel channels of one residual stream,
// [K', kPanel] each, with K' = K rounded up to kColumns and zeros in the padding. In all three
// products lanes are channels, because K = 24 is not a multiple of a vector; neither v nor dz needs
// transposing.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/slabs.h"

namespace birkhoff::cpu {

inline constexpr int64_t kPanel = 32;           // Channels of a panel: two AVX-512 vectors.
inline constexpr int64_t kColumns = 4;          // Columns of a register tile.
inline constexpr int64_t kLanes = 16;           // Lanes of the widest vector, AVX-512.
inline constexpr int64_t kTokens = kLanes;      // Tokens whose coefficients share vectors.
inline constexpr int64_t kRows = 2 * kTokens;   // Tokens per pass over the partial sum of dphi.
inline constexpr int64_t kChunk = 16 * kPanel;  // Channels projected before the next columns.
inline constexpr int64_t kStrip = 4;            // Tokens of a register tile of dx.

static_assert(kRows == kSlabUnit);

struct Projection {
  int64_t tokens, n, width, columns;  // T, n, C, K

  int64_t padded() const { return (columns + kColumns - 1) / kColumns * kColumns; }
  int64_t panels() const { return (width + kPanel - 1) / kPanel; }     // Per residual stream.
  int64_t panel_size() const { return padded() * kPanel; }             // In floats.
  int64_t packed_size() const { return n * panels() * panel_size(); }  // In floats.

  int64_t slab_tokens() const { return birkhoff::slab_tokens(tokens); }
  int64_t slabs() const { return birkhoff::slabs(tokens); }
};

// Divides a workspace into arrays on 64-byte boundaries; without a workspace it only counts.
class Scratch {
 public:
  explicit Scratch(float* base) : base_(base) {}
  float* take(int64_t count) {
    float* p = base_ ? base_ + used_ : nullptr;
    used_ += (count + kLanes - 1) / kLanes * kLanes;
    return p;
  }
  size_t bytes() const { return size_t(used_) * sizeof(float); }

 private:
  float* base_;
  int64_t used_ = 0;
};

// In arrays [·, kTokens] the values of kTokens tokens are adjacent, one per token.
struct ForwardScratch {
  float* sums;   // [kTokens, K', kLanes]: sums of the projection.
  float *u, *c;  // [K', kTokens]; c holds the coefficients.
  float* rho;    // [kTokens]
  float* trace;  // Values kept by Sinkhorn.
  ForwardScratch(Scratch s, const Projection& p, int64_t trace_size)
      : sums(s.take(kTokens * p.padded() * kLanes)),
        u(s.take(p.padded() * kTokens)),
        c(s.take(p.padded() * kTokens)),
        rho(s.take(kTokens)),
        trace(s.take(trace_size)),
        bytes(s.bytes()) {}
  size_t bytes;
};

struct BackwardScratch {
  float *u, *c, *d;  // [K', kTokens]; d is the gradient of H~.
  float* rho;        // [kTokens]
  float* trace;      // Values kept by Sinkhorn.
  float* dz;         // [kRows, K'], zero in the padding.
  float *pre, *res;  // [kRows, n], [kRows, n²]
  float* pull;       // [kRows]: 2·ds.
  float* strip;      // [kStrip, n, kPanel]: part of dx.
  float* rows;       // [n, kRows, kPanel]: part of x.
  BackwardScratch(Scratch s, const Projection& p, int64_t trace_size)
      : u(s.take(p.padded() * kTokens)),
        c(s.take(p.padded() * kTokens)),
        d(s.take(p.padded() * kTokens)),
        rho(s.take(kTokens)),
        trace(s.take(trace_size)),
        dz(s.take(kRows * p.padded())),
        pre(s.take(kRows * p.n)),
        res(s.take(kRows * p.n * p.n)),
        pull(s.take(kRows)),
        strip(s.take(kStrip * p.n * kPanel)),
        rows(s.take(p.n * kRows * kPanel)),
        bytes(s.bytes()) {}
  size_t bytes;
};

// Partial sums of one slab: dphi in packed form, and Σ dH~·u and Σ dH~ per column and lane.
struct SlabSums {
  float *dphi, *products, *sums;
  SlabSums(Scratch s, const Projection& p)
      : dphi(s.take(p.packed_size())),
        products(s.take(p.columns * kTokens)),
        sums(s.take(p.columns * kTokens)),
        bytes(s.bytes()) {}
  size_t bytes;
};

// A block of m ≤ kTokens tokens from `token` on, whose rows in the scratch start at `row`.
struct TokenBlock {
  const BackwardScratch& s;
  const SlabSums& sums;
  int64_t token, m, row;
};

inline size_t packed_bytes(const Projection& p) { return size_t(p.packed_size()) * sizeof(float); }
inline size_t slab_bytes(const Projection& p) { return SlabSums(Scratch(nullptr), p).bytes; }

// out[t, k] = base + values[k, t] for `columns` columns and m tokens.
inline void store_columns(const float* values, int64_t columns, int64_t m, const float* base,
                          float* out) {
  for (int64_t t = 0; t < m; ++t)
    for (int64_t k = 0; k < columns; ++k) {
      const float value = values[k * kTokens + t];
      out[t * columns + k] = base ? base[t * columns + k] + value : value;
    }
}

// values[k, t] = rows[t, k] for m tokens; zero for the lanes from m on, and everywhere if rows is
// null.
inline void load_columns(const float* rows, int64_t columns, int64_t m, float* values) {
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t k = 0; k < columns; ++k)
      values[k * kTokens + t] = rows && t < m ? rows[t * columns + k] : 0;
}

// Floats that Sinkhorn needs for kTokens tokens; with `keep` its backward can follow.
inline int64_t sinkhorn_trace(int64_t n, int64_t iterations, bool keep) {
  const int64_t slot = n * n + n;  // An iterate and the inverse sums that produced it.
  return kTokens * (3 * n * n + slot * (keep ? 2 * iterations : 2));
}

}  // namespace birkhoff::cpu
