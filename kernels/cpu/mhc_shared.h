#pragma once
// Shared by the bodies of mhc for AVX512-BF16 and the bodies for every instruction
// set: which of them a call uses, and all computations on coefficients. Thread-safe.
#include "kernels/bodies.h"
#include "kernels/cpu/projection.h"
#include "kernels/cpu/row.h"
#include "kernels/mhc.h"

namespace birkhoff::cpu {

// Whether the AVX512-BF16 bodies accept a call. Its input `kStreams` [T, n·C] must be bf16 with an
// even n·C, so that a row is whole pairs.
template <int kStreams>
bool takes_pairs(Specs in, const Desc&, const Features& features) {
  const TensorSpec& streams = in[kStreams];
  return features.avx512_bf16 && streams.dtype == DType::bf16 && streams.shape[1] % 2 == 0;
}

// The sizes of a call of mhc_open or mhc_open_backward, which begin with the same inputs.
inline Projection mhc_projection(Specs in, const Desc& d) {
  const MhcDesc& desc = d.as<MhcDesc>();
  const Shape& x = in[MhcOpen::x].shape;
  return {x[0], desc.n, x[1] / desc.n, desc.columns()};
}

// Part of mhc_open for the m ≤ kTokens tokens from `first` on. Given s.u and s.rho (zero for the
// lanes from m on), stores u, rho, post and res, and leaves pre in s.c.
void mhc_store_coefficients(const Args& args, const ForwardScratch& s, int64_t first, int64_t m);

// Part of mhc_open_backward. Given <dh, x_i> and <dlink_i, x_j> in block.s.d (in the columns of pre
// and res), sets dz, pre, res and pull of the block's rows and adds to the column sums of the slab.
void mhc_tokens_backward(const Args& args, const Projection& p, const TokenBlock& block);

// The last part of mhc_open_backward: stores dphi, dalpha and db from the sums of all slabs.
void mhc_store_backward_sums(const Args& args, const Projection& p, float* slabs);

// Scratch memory that the backward for pairs needs besides BackwardScratch.
struct PairScratch {
  float* strip;  // [kStrip, n + 1, 2, kPanel]: dlink and dh as floats, even channels before odd.
  uint32_t* dz;  // [kRows, K'/2]: pairs of columns.
  PairScratch(Scratch s, const Projection& p)
      : strip(s.take(kStrip * (p.n + 1) * 2 * kPanel)),
        dz(reinterpret_cast<uint32_t*>(s.take(kRows / 2 * p.padded()))),
        bytes(s.bytes()) {}
  size_t bytes;
};

// kPairColumns is the number of columns of a register tile of v·phi. phi is packed in units of
// kPairUnit columns and takes pair_half() columns twice: its bf16 part and the bf16 remainder.
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
