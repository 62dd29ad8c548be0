#pragma once
// Sizes and scratch of the cpu bodies that project a token's streams v [n·C] onto K columns (mhc,
// readout): v·phi and its gradients dz·phiᵀ and vᵀ·dz. Functions of the shape alone, so that
// results are too.
//
// phi [n·C, K] is packed once a call into panels of kPanel channels of one stream, [K', kPanel]
// each, K' = K rounded up to kColumns, zeros in the padding. Channels are the lanes in all three
// products: K = 24 is no multiple of a vector, and neither v nor dz needs transposing.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/slabs.h"

namespace birkhoff::cpu {

inline constexpr int64_t kPanel = 32;           // channels: two vectors of AVX-512
inline constexpr int64_t kColumns = 4;          // of a register tile
inline constexpr int64_t kLanes = 16;           // the widest vector: AVX-512
inline constexpr int64_t kTokens = kLanes;      // their coefficients are computed side by side
inline constexpr int64_t kRows = 2 * kTokens;   // tokens per pass over the partial sum of dphi
inline constexpr int64_t kChunk = 16 * kPanel;  // channels projected before the next columns
inline constexpr int64_t kStrip = 4;            // tokens of a register tile of dx

static_assert(kRows == kSlabUnit);

struct Projection {
  int64_t tokens, n, width, columns;  // T, n, C, K

  int64_t padded() const { return (columns + kColumns - 1) / kColumns * kColumns; }
  int64_t panels() const { return (width + kPanel - 1) / kPanel; }     // of one stream
  int64_t panel_size() const { return padded() * kPanel; }             // floats
  int64_t packed_size() const { return n * panels() * panel_size(); }  // floats

  int64_t slab_tokens() const { return birkhoff::slab_tokens(tokens); }
  int64_t slabs() const { return birkhoff::slabs(tokens); }
};

// Cuts a workspace into arrays on 64-byte borders; without a workspace it only counts.
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

// Arrays [·, kTokens] hold one value a token side by side.
struct ForwardScratch {
  float* sums;   // [kTokens, K', kLanes] of the projection
  float *u, *c;  // [K', kTokens]; c: coefficients
  float* rho;    // [kTokens]
  float* trace;  // of Sinkhorn
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
  float *u, *c, *d;  // [K', kTokens]; d: gradient of H~
  float* rho;        // [kTokens]
  float* trace;      // of Sinkhorn
  float* dz;         // [kRows, K'], zero in the padding
  float *pre, *res;  // [kRows, n], [kRows, n²]
  float* pull;       // [kRows]  2·ds
  float* strip;      // [kStrip, n, kPanel] of dx
  float* rows;       // [n, kRows, kPanel] of x
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

// Partial sums of one slab: dphi as it is packed, and Σ dH~·u and Σ dH~ by column and lane.
struct SlabSums {
  float *dphi, *products, *sums;
  SlabSums(Scratch s, const Projection& p)
      : dphi(s.take(p.packed_size())),
        products(s.take(p.columns * kTokens)),
        sums(s.take(p.columns * kTokens)),
        bytes(s.bytes()) {}
  size_t bytes;
};

// m ≤ kTokens tokens from `token` on; theirs are the scratch's rows from `row` on.
struct TokenBlock {
  const BackwardScratch& s;
  const SlabSums& sums;
  int64_t token, m, row;
};

inline size_t packed_bytes(const Projection& p) { return size_t(p.packed_size()) * sizeof(float); }
inline size_t slab_bytes(const Projection& p) { return SlabSums(Scratch(nullptr), p).bytes; }

// out[t, k] = base + values[k, t] for `columns` columns of m tokens.
inline void store_columns(const float* values, int64_t columns, int64_t m, const float* base,
                          float* out) {
  for (int64_t t = 0; t < m; ++t)
    for (int64_t k = 0; k < columns; ++k) {
      const float value = values[k * kTokens + t];
      out[t * columns + k] = base ? base[t * columns + k] + value : value;
    }
}

// values[k, t] = rows[t, k] of m tokens; zero for the lanes behind m, and all of it if rows is
// null.
inline void load_columns(const float* rows, int64_t columns, int64_t m, float* values) {
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t k = 0; k < columns; ++k)
      values[k * kTokens + t] = rows && t < m ? rows[t * columns + k] : 0;
}

// Floats that Sinkhorn keeps of kTokens tokens; `keep`: for its backward.
inline int64_t sinkhorn_trace(int64_t n, int64_t iterations, bool keep) {
  const int64_t slot = n * n + n;  // an iterate and the inverse sums that made it
  return kTokens * (3 * n * n + slot * (keep ? 2 * iterations : 2));
}

}  // namespace birkhoff::cpu
