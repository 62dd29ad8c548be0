#pragma once
// Device functions that open streams in one pass over x. A block keeps the rows of its tokens on
// the chip from the projection, which makes their coefficients, to the sum of streams, which needs
// them (docs/kernels.md has a picture).
//
// The map M, a traits class, says what the coefficients are; mHC and HC differ in nothing else:
//
//   M::Args                                    x, u, tokens, width, n, eps, and what is named below
//   M::kSublayer                               a sublayer F follows, so post, res, gain, y and rstd
//                                              exist; otherwise only h is produced, and H~ has only
//                                              pre
//   M::kPerStream                              each stream has its own norm and columns
//   M::projects(a)                             whether the coefficients depend on x
//   M::project<kN, kTiles>(a, rows, sum)       adds products and Σx² of the warp's channels
//   M::norms(a), M::h(a)                       outputs: 1/rms [tokens, 1 or n], h [tokens, C]
//   M::coefficient<kN>(a, u, column)           H~
//   M::pre(a, H~), M::post(H~)                 from one element of H~
//   M::res(a, row)                             from one row of H~ per lane; all lanes of the warp
//                                              must call it
//
// A tensor-core product is 16 columns by 8 tokens; lane 4·g + t supplies token g and column g. The
// assignment of channels to the product's depth is free, so it follows the order in which a lane
// holds them: depth t of product s is channel 8·t + 2·s of the warp's 32, depth t + 4 the next one.
#include "kernels/cuda/open_channels.h"
#include "kernels/cuda/open_rows.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {

template <class M, int kN, int kTiles>
struct OpenSizes {
  static constexpr int kTile = mhc_open_tile(kN), kTokens = kTile * kTiles;  // of a product, block
  static constexpr int kRows = M::kSublayer ? kN + 2 : 1;  // rows of n coefficients
  static constexpr int kColumns = kN * kRows, kNorms = M::kPerStream ? kN : 1;
  static constexpr int kProducts = M::kPerStream ? kN : (kColumns + 15) / 16;
  static constexpr int kSums = kTiles * (kColumns + kNorms) * kTile;  // [tile, slot, token]
  // The slots of a column's sum and of Σx². Per stream, the sums of its rows and its squares are
  // adjacent, so that lanes that write one row each use different banks, as do lanes that read a
  // row of columns.
  static constexpr __device__ int slot(int column) {
    return M::kPerStream ? column % kN * (kRows + 1) + column / kN : column;
  }
  static constexpr __device__ int norm_slot(int norm) {
    return M::kPerStream ? norm * (kRows + 1) + kRows : kColumns;
  }
  // Tokens per warp when each lane has one row of coefficients, and the number of such warps.
  static constexpr int kMatrices = int(kWarp) / kN, kMatrixWarps = kTokens / kMatrices;

  // The column that a row of a product computes; kColumns or more if it computes none.
  static constexpr __device__ int column(int product, int row) {
    if constexpr (M::kPerStream)
      return row < kRows ? row * kN + product : kColumns;
    else
      return product * 16 + row;
  }
};

// A lane's sums over the warp's channels.
template <class M, int kN, int kTiles>
struct Partial {
  using S = OpenSizes<M, kN, kTiles>;
  MmaD products[kTiles][S::kProducts] = {};
  float squares[kTiles][S::kNorms] = {};
};

// The rows leave 3 KiB of shared memory, so data with disjoint lifetimes shares a union.
template <class M, int kN, int kTiles>
struct OpenShared {
  using S = OpenSizes<M, kN, kTiles>;
  union {
    Mix<kN> mix[S::kTokens];  // for closing
    float sums[S::kSums];     // products and Σx²
    // pre, post, and the rows of res, each [n, tokens]; see logit().
    float logits[S::kMatrixWarps][S::kRows][kWarp];
  };
  float squares[kOpenWarps][S::kTokens];  // Σh² of each warp's channels

  __device__ float& sum(int slot, int token) {
    const int tile = token / S::kTile;
    return sums[(tile * (S::kColumns + S::kNorms) + slot) * S::kTile + token % S::kTile];
  }
  // Each row is rotated by its number, so that the lanes of a matrix, which have one row each, read
  // different banks.
  __device__ float& logit(int row, int column, int token) {
    const int at = (row + column) * S::kMatrices + token % S::kMatrices;
    return logits[token / S::kMatrices][row][at % int(kWarp)];
  }
};

// Adds up the warps' sums, one warp after another: there is room for only one set of sums.
template <class M, int kN, int kTiles>
__device__ inline void put_sums(OpenShared<M, kN, kTiles>& s, const Partial<M, kN, kTiles>& sum) {
  using S = OpenSizes<M, kN, kTiles>;
  using Two = Pack<float, 2>;
  const Lane lane;
  for (int warp = 0; warp < kOpenWarps; ++warp) {
    sync_block();
    if (warp != lane.warp) continue;
    for (int tile = 0; tile < kTiles; ++tile) {
      for (int p = 0; p < S::kProducts; ++p)
        for (int h = 0; h < 2; ++h) {
          const int column = S::column(p, h * 8 + lane.token);
          if (column >= S::kColumns || 2 * lane.part >= S::kTile) continue;
          auto* at =
              reinterpret_cast<Two*>(&s.sum(S::slot(column), tile * S::kTile + 2 * lane.part));
          const MmaD& d = sum.products[tile][p];
          const Two there = warp == 0 ? Two{} : load(at);
          store(at, {there.v[0] + d.v[2 * h], there.v[1] + d.v[2 * h + 1]});
        }
      for (int norm = 0; norm < S::kNorms; ++norm) {
        const float squares = lanes_sum(sum.squares[tile][norm], 1, kOpenGroup);
        if (lane.part != 0 || lane.token >= S::kTile) continue;
        float& at = s.sum(S::norm_slot(norm), tile * S::kTile + lane.token);
        at = warp == 0 ? squares : at + squares;
      }
    }
  }
  sync_block();
}

// Stores u and 1/rms of the block's tokens, and replaces the sums by H~.
template <class M, int kN, int kTiles>
__device__ inline void make_coefficients(const typename M::Args& a, int64_t first,
                                         OpenShared<M, kN, kTiles>& s) {
  using S = OpenSizes<M, kN, kTiles>;
  constexpr int kValues = S::kColumns * S::kTokens;
  constexpr int kEach = (kValues + int(kOpenThreads) - 1) / int(kOpenThreads);
  float values[kEach] = {};
  const auto each = [&](auto&& f) {
    for (int e = 0; e < kEach; ++e) {
      const int i = e * int(kOpenThreads) + int(thread());
      const int token = i / (S::kTile * S::kColumns) * S::kTile + i % S::kTile;
      if (i < kValues) f(i / S::kTile % S::kColumns, token, values[e]);
    }
  };
  each([&](int column, int token, float& value) {
    float u = 0;
    if (M::projects(a)) {
      const int norm = column % S::kNorms;
      const float count = float((M::kPerStream ? 1 : kN) * a.width);
      const float inverse = fast_rsqrt(s.sum(S::norm_slot(norm), token) / count + a.eps);
      u = s.sum(S::slot(column), token) * inverse;
      if (first + token < a.tokens) {
        store(a.u + (first + token) * S::kColumns + column, u);
        if (column == norm) store(M::norms(a) + (first + token) * S::kNorms + norm, inverse);
      }
    }
    value = M::template coefficient<kN>(a, u, column);
  });
  sync_block();
  each([&](int column, int token, float& value) {
    s.logit(column / kN, column % kN, token) = value;
  });
  sync_block();
}

// Makes and stores post and res of this warp's tokens.
template <class M, int kN, int kTiles>
__device__ inline void make_mixes(const typename M::Args& a, int64_t first,
                                  OpenShared<M, kN, kTiles>& s) {
  using S = OpenSizes<M, kN, kTiles>;
  const int lane = int(thread() % kWarp), i = lane / S::kMatrices;
  const int in_block = int(thread() / kWarp) * S::kMatrices + lane % S::kMatrices;
  float res[kN];
  for (int j = 0; j < kN; ++j) res[j] = s.logit(2 + i, j, in_block);
  M::res(a, res);
  const int64_t token = first + in_block;
  if (token < a.tokens) store_mix(a, token, i, M::post(s.logit(1, i, in_block)), res);
}

}  // namespace birkhoff::cuda
