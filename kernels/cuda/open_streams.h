#pragma once
// Device functions: streams are opened in one pass over x. A block keeps the rows of its tokens on
// the chip, from the projection that makes their coefficients to the sum of streams that needs them
// (docs/kernels.md has a picture).
//
// What the coefficients are is a map M, and the only thing in which mHC and HC differ:
//
//   M::Args                                    x, u, tokens, width, n, eps; what stands below
//   M::kSublayer                               F stands behind: post, res, gain, y, rstd; else h is
//                                              all that comes out, and H~ has pre alone
//   M::kPerStream                              a norm for each stream; each has its own columns
//   M::projects(a)                             whether anything depends on x
//   M::project<kN, kTiles>(a, rows, sum)       products and Σx² of the warp's channels
//   M::norms(a), M::h(a)                       where 1/rms and h go: [tokens, 1 or n], [tokens, C]
//   M::coefficient<kN>(a, u, column)           H~
//   M::pre(a, H~), M::post(H~), M::res(a, row)    of a row of H~ a lane; all lanes of the warp come
//
// Products of the tensor cores are 16 columns by 8 tokens; lane 4·g + t has token g and column g.
// Which channel stands at which depth of a product is free, so it is the order in which a lane has
// them: depth t of product s is channel 8·t + 2·s of a warp's 32, depth t + 4 the next.
#include "kernels/cuda/open_channels.h"
#include "kernels/cuda/open_rows.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {

template <class M, int kN, int kTiles>
struct OpenSizes {
  static constexpr int kTile = mhc_open_tile(kN), kTokens = kTile * kTiles;  // tokens of a product
  static constexpr int kRows = M::kSublayer ? kN + 2 : 1;  // of coefficients, of n each
  static constexpr int kColumns = kN * kRows, kNorms = M::kPerStream ? kN : 1;
  static constexpr int kProducts = M::kPerStream ? kN : (kColumns + 15) / 16;
  static constexpr int kSums = kTiles * (kColumns + kNorms) * kTile;  // [tile, slot, token]
  // Where a column's sum is, and Σx²: a stream's rows and its squares side by side, so that lanes
  // with a row each write to different banks, and so do those that read a row of columns.
  static constexpr __device__ int slot(int column) {
    return M::kPerStream ? column % kN * (kRows + 1) + column / kN : column;
  }
  static constexpr __device__ int norm_slot(int norm) {
    return M::kPerStream ? norm * (kRows + 1) + kRows : kColumns;
  }
  // Tokens of a warp that has a row of coefficients a lane, and such warps.
  static constexpr int kMatrices = int(kWarp) / kN, kMatrixWarps = kTokens / kMatrices;

  // Which column a product's row is; behind the last one, none.
  static constexpr __device__ int column(int product, int row) {
    if constexpr (M::kPerStream)
      return row < kRows ? row * kN + product : kColumns;
    else
      return product * 16 + row;
  }
};

// Of a lane, over the warp's channels.
template <class M, int kN, int kTiles>
struct Partial {
  using S = OpenSizes<M, kN, kTiles>;
  MmaD products[kTiles][S::kProducts] = {};
  float squares[kTiles][S::kNorms] = {};
};

// Rows leave 3 KiB: what is not needed at the same time shares its place.
template <class M, int kN, int kTiles>
struct OpenShared {
  using S = OpenSizes<M, kN, kTiles>;
  union {
    Mix<kN> mix[S::kTokens];  // of what is closed
    float sums[S::kSums];     // of products, and Σx²
    // pre, post, and the rows of res, each [n, tokens]; see logit().
    float logits[S::kMatrixWarps][S::kRows][kWarp];
  };
  float squares[kOpenWarps][S::kTokens];  // of h

  __device__ float& sum(int slot, int token) {
    const int tile = token / S::kTile;
    return sums[(tile * (S::kColumns + S::kNorms) + slot) * S::kTile + token % S::kTile];
  }
  // Rows are rotated by their number, so that the lanes of a matrix, which have a row each, read
  // different banks.
  __device__ float& logit(int row, int column, int token) {
    const int at = (row + column) * S::kMatrices + token % S::kMatrices;
    return logits[token / S::kMatrices][row][at % int(kWarp)];
  }
};

// Sums over the warps, one after another: there is room for those of one.
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

// u and 1/rms of the block's tokens; H~ in the place of the sums.
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

// post and res of the tokens of one warp.
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
