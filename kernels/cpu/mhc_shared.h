#pragma once
// What the bodies of mhc for pairs of bf16 (kernels/cpu/pairs.h) share with those for every
// instruction set: when they are taken, and all that is done with coefficients. Thread-safe.
#include "kernels/cpu/pairs.h"
#include "kernels/cpu/projection.h"
#include "kernels/cpu/row.h"
#include "kernels/operator.h"

namespace birkhoff::cpu {

// The bodies for pairs of a call whose input `streams` is [T, n·C]: where that is bf16 and n·C even
// (a row is whole pairs), and the processor has them; else null.
const PairBodies* mhc_pair_bodies(const Args& args, int streams);

// Of mhc_open, from s.u and s.rho of m ≤ kTokens tokens from `first` on (zero behind m): stores u,
// rho, post and res, and leaves pre in s.c.
void mhc_store_coefficients(const Args& args, const ForwardScratch& s, int64_t first, int64_t m);

// Of mhc_open_backward, from <dh, x_i> and <dlink_i, x_j> in block.s.d (the columns of pre and
// res): dz, pre, res and pull of the block's rows; adds to the column sums of the slab.
void mhc_tokens_backward(const Args& args, const Projection& p, const TokenBlock& block);

// Then dphi, dalpha and db from the sums of every slab.
void mhc_store_backward_sums(const Args& args, const Projection& p, float* slabs);

// Scratch of the backward for pairs beside BackwardScratch.
struct PairScratch {
  float* strip;  // [kStrip, n + 1, 2, kPanel]: dlink and dh as floats, even channels before odd
  uint32_t* dz;  // [kRows, K'/2] pairs of columns
  PairScratch(Scratch s, const Projection& p)
      : strip(s.take(kStrip * (p.n + 1) * 2 * kPanel)),
        dz(reinterpret_cast<uint32_t*>(s.take(kRows / 2 * p.padded()))),
        bytes(s.bytes()) {}
  size_t bytes;
};

// Columns of a register tile of v·phi; phi is packed in units of kPairUnit columns, twice.
inline constexpr int64_t kPairColumns = 48, kPairUnit = 8;
inline int64_t pair_half(const Projection& p) {
  return (p.columns + kPairUnit - 1) / kPairUnit * kPairUnit;
}
inline int64_t pair_tiles(const Projection& p) {
  return (2 * pair_half(p) + kPairColumns - 1) / kPairColumns;
}
inline size_t pair_packed_bytes(const Projection& p) {
  return size_t(p.n * p.width * pair_tiles(p) * kPairColumns) * sizeof(bf16);
}

}  // namespace birkhoff::cpu
