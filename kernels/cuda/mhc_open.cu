// One pass over x: a block keeps the rows of its tokens on the chip, from the projection that makes
// their coefficients to the sum of streams that needs them (docs/kernels.md has a picture).
//
// A lane keeps 8 channels of every stream of its tokens, in each step of 256 channels: x', h and y
// are then sums over what the lane has itself. It keeps them in shared memory, in places that no
// other lane reads: no barrier guards them, and no bank has two. Products of the tensor cores are
// phiᵀ·xᵀ, 16 columns of phi by 8 tokens; lane 4·g + t has token g and column g. Which channel
// stands at which depth of a product is free, so it is the order in which a lane has them: depth t
// of product s is channel 8·t + 2·s of a warp's 32, depth t + 4 the next.
//
// Rows fill what a block of sm_80 may have: 8 tokens of 4·2560 or 16 of 4·1280 are 160 KiB of 163.
// So phi is read once for 4 to 32 tokens and not for 64; that takes a cluster of blocks
// (sm_90/mhc_open_cluster.cu).
// Rows in registers as well, for 16 tokens of 4·2560, were tried: ptxas spills.
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/mhc_rows.h"

namespace birkhoff::cuda {
namespace {

constexpr int kWarps = kOpenThreads / kWarp;
constexpr int kGroup = 4;  // lanes of a token

template <int kN, int kTiles>
struct Sizes {
  // Tokens of a product. Of 8 streams there is room for 4: half of the lanes have no rows.
  static constexpr int kTile = mhc_open_tile(kN);
  static constexpr int kTokens = kTile * kTiles, kColumns = kN * (kN + 2);
  static constexpr int kProducts = (kColumns + 15) / 16;
  static constexpr int kSums = kTiles * kColumns * kTile;  // [tile, column, token]
  // Tokens of a warp of Sinkhorn's, and such warps.
  static constexpr int kMatrices = int(kWarp) / kN, kMatrixWarps = kTokens / kMatrices;
};

// Rows leave 3 KiB: what is not needed at the same time shares its place.
template <int kN, int kTiles>
struct OpenShared {
  using S = Sizes<kN, kTiles>;
  union {
    Mix<kN> mix[S::kTokens];  // of what is closed
    float sums[S::kSums];     // of x·phi
    // pre, post, and the rows of res, each [n, tokens]; see logit().
    float logits[S::kMatrixWarps][kN + 2][kWarp];
  };
  float squares[kWarps][S::kTokens];  // of x, later of h

  // Rows are rotated by their number, so that the lanes of Sinkhorn's, which have a row each, read
  // different banks.
  __device__ float& logit(int row, int column, int token) {
    const int at = (row + column) * S::kMatrices + token % S::kMatrices;
    return logits[token / S::kMatrices][row][at % int(kWarp)];
  }
};

struct Lane {
  int warp, token, part;  // token: of the tile; part: which 8 of a warp's 32 channels

  __device__ Lane()
      : warp(int(thread() / kWarp)),
        token(int(thread() % kWarp) / kGroup),
        part(int(thread() % kGroup)) {}
  __device__ int channel(int step) const {
    return ((step * kWarps + warp) * kGroup + part) * kChannels;
  }
};

// A lane's part of its tokens' rows.
template <int kN, int kTiles>
struct Rows {
  static constexpr int kTile = mhc_open_tile(kN);
  static constexpr int kLanes = kTile * kGroup;  // of a warp, that have rows
  Channels* first;
  int steps;

  __device__ explicit Rows(int count)
      : first(dynamic_shared<Channels>() + thread() / kWarp * kLanes + thread() % kWarp),
        steps(count) {}
  __device__ bool mine() const { return thread() % kWarp < kLanes; }
  __device__ Channels* at(int step, int tile, int i) const {
    return first + ((step * kTiles + tile) * kN + i) * kWarps * kLanes;
  }
};

// Rows of x as they are.
template <int kN, int kTiles>
__device__ inline void fill(const MhcOpenArgs& a, int64_t first, const Rows<kN, kTiles>& rows) {
  constexpr int kTile = Sizes<kN, kTiles>::kTile;
  if (!rows.mine()) return;
  const Lane lane;
  for (int step = 0; step < rows.steps; ++step)
    for (int tile = 0; tile < kTiles; ++tile) {
      const int64_t token = first + tile * kTile + lane.token;
      const int c = lane.channel(step);
      const bool valid = c < a.width && token < a.tokens;
      for (int i = 0; i < kN; ++i)
        copy_async(rows.at(step, tile, i), valid ? a.x + (token * kN + i) * a.width + c : a.x,
                   valid ? 16 : 0);
    }
  copy_async_commit();
  copy_async_wait<0>();  // its own copies are all that a lane reads
}

// Rows of x' as they are made.
template <int kN, int kTiles>
__device__ inline void fill_closing(const MhcCloseArgs& a, int64_t first, const Mix<kN>* mix,
                                    const Rows<kN, kTiles>& rows) {
  constexpr int kTile = Sizes<kN, kTiles>::kTile;
  if (!rows.mine()) return;
  const Lane lane;
  for (int step = 0; step < rows.steps; ++step)
    for (int tile = 0; tile < kTiles; ++tile) {
      const int in_block = tile * kTile + lane.token, c = lane.channel(step);
      const int64_t token = first + in_block;
      const bool valid = c < a.width && token < a.tokens;
      Channels x[kN] = {}, f = {};
      if (valid) {
        for (int j = 0; j < kN; ++j) x[j] = load_channels(a.x + (token * kN + j) * a.width + c);
        f = load_channels(a.f + token * a.width + c);
      }
      for (int i = 0; i < kN; ++i) {
        const Channels y = valid ? mixed(mix[in_block], i, x, f) : Channels{};
        store(rows.at(step, tile, i), y);
        if (valid) store_channels(a.y + (token * kN + i) * a.width + c, y);
      }
    }
}

template <int kN, int kTiles>
struct Partial {
  MmaD products[kTiles][Sizes<kN, kTiles>::kProducts] = {};
  float squares[kTiles] = {};
};

// Adds two channels of one stream. phi: of the lane's column and the first of them.
template <int kN, int kTiles>
__device__ inline void add_pair(const float* phi, int pair, const Channels (&x)[kTiles],
                                Partial<kN, kTiles>& sum) {
  constexpr int kColumns = Sizes<kN, kTiles>::kColumns;
  MmaB factors[kTiles];
  for (int tile = 0; tile < kTiles; ++tile) {
    factors[tile] = factor_of(x[tile], pair);
    sum.squares[tile] = add_squares(sum.squares[tile], x[tile], 2 * pair, 2 * pair + 2);
  }
  for (int p = 0; p < Sizes<kN, kTiles>::kProducts; ++p) {
    MmaA weights;
    for (int r = 0; r < 4; ++r) {
      const int column = p * 16 + r % 2 * 8;
      weights.r[r] = column + int(thread() % kWarp / kGroup) < kColumns
                         ? to_tf32(load<Cache::constant>(phi + r / 2 * kColumns + column))
                         : 0;
    }
    for (int tile = 0; tile < kTiles; ++tile)
      mma_tf32(sum.products[tile][p], weights, factors[tile]);
  }
}

// x·phi and Σx² of the warp's channels.
template <int kN, int kTiles>
__device__ inline Partial<kN, kTiles> project(const MhcOpenArgs& a, const Rows<kN, kTiles>& rows) {
  constexpr int kColumns = Sizes<kN, kTiles>::kColumns;
  const Lane lane;
  const int width = int(a.width);
  Partial<kN, kTiles> sum;
  for (int step = 0; step < rows.steps; ++step) {
    const int c = lane.channel(step);
    if (c - lane.part * kChannels >= width) break;  // the whole warp
    // Behind the last channel x is 0: any of phi will do.
    const int from = c < width ? c : width - kChannels;
    for (int i = 0; i < kN; ++i) {
      const float* phi = a.phi + (i * width + from) * kColumns + lane.token;
      Channels x[kTiles];
      for (int tile = 0; tile < kTiles; ++tile)
        x[tile] = rows.mine() ? load(rows.at(step, tile, i)) : Channels{};
      for (int pair = 0; pair < kChannels / 2; ++pair)
        add_pair(phi + 2 * pair * kColumns, pair, x, sum);
    }
  }
  return sum;
}

// A token's sum over its four lanes, by warp.
template <int kN, int kTiles>
__device__ inline void put_squares(OpenShared<kN, kTiles>& s, const float (&squares)[kTiles]) {
  constexpr int kTile = Sizes<kN, kTiles>::kTile;
  const Lane lane;
  for (int tile = 0; tile < kTiles; ++tile) {
    const float sum = lanes_sum(squares[tile], 1, kGroup);
    if (lane.part == 0 && lane.token < kTile) s.squares[lane.warp][tile * kTile + lane.token] = sum;
  }
}
// 1/rms of a token, of all warps' squares.
template <int kN, int kTiles>
__device__ inline float rms_inverse(const OpenShared<kN, kTiles>& s, int token, float count,
                                    float eps) {
  float sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += s.squares[w][token];
  return fast_rsqrt(sum / count + eps);
}

// Sums over the warps, one after another: there is room for those of one.
template <int kN, int kTiles>
__device__ inline void put_sums(OpenShared<kN, kTiles>& s, const Partial<kN, kTiles>& sum) {
  using S = Sizes<kN, kTiles>;
  using Two = Pack<float, 2>;
  const Lane lane;
  put_squares(s, sum.squares);
  for (int warp = 0; warp < kWarps; ++warp) {
    sync_block();
    if (warp != lane.warp) continue;
    for (int tile = 0; tile < kTiles; ++tile)
      for (int p = 0; p < S::kProducts; ++p)
        for (int h = 0; h < 2; ++h) {
          const int column = p * 16 + h * 8 + lane.token;
          if (column >= S::kColumns || 2 * lane.part >= S::kTile) continue;
          auto* at = reinterpret_cast<Two*>(
              &s.sums[(tile * S::kColumns + column) * S::kTile + 2 * lane.part]);
          const MmaD& d = sum.products[tile][p];
          const Two there = warp == 0 ? Two{} : load(at);
          store(at, {there.v[0] + d.v[2 * h], there.v[1] + d.v[2 * h + 1]});
        }
  }
  sync_block();
}

// u and rho of the block's tokens; logits in the place of the sums.
template <int kN, int kTiles>
__device__ inline void make_logits(const MhcOpenArgs& a, int64_t first, OpenShared<kN, kTiles>& s) {
  using S = Sizes<kN, kTiles>;
  constexpr int kEach = (S::kSums + int(kOpenThreads) - 1) / int(kOpenThreads);
  float logits[kEach] = {};
  const auto each = [&](auto&& f) {
    for (int e = 0; e < kEach; ++e) {
      const int i = e * int(kOpenThreads) + int(thread());
      const int token = i / (S::kTile * S::kColumns) * S::kTile + i % S::kTile;
      if (i < S::kSums) f(i, i / S::kTile % S::kColumns, token, logits[e]);
    }
  };
  each([&](int i, int column, int token, float& logit) {
    const float rho = rms_inverse(s, token, float(kN * a.width), a.eps), u = s.sums[i] * rho;
    if (first + token < a.tokens) {
      store(a.u + (first + token) * S::kColumns + column, u);
      if (column == 0) store(a.rho + first + token, rho);
    }
    logit = logit_of<kN>(a, column, u);
  });
  sync_block();
  each([&](int, int column, int token, float& logit) {
    s.logit(column / kN, column % kN, token) = logit;
  });
  sync_block();
}

// post and res of the tokens of one warp of Sinkhorn's.
template <int kN, int kTiles>
__device__ inline void make_mixes(const MhcOpenArgs& a, int64_t first, OpenShared<kN, kTiles>& s) {
  using S = Sizes<kN, kTiles>;
  const int lane = int(thread() % kWarp), i = lane / S::kMatrices;
  const int in_block = int(thread() / kWarp) * S::kMatrices + lane % S::kMatrices;
  float res[kN];
  for (int j = 0; j < kN; ++j) res[j] = s.logit(2 + i, j, in_block);
  sinkhorn(res, a.sinkhorn);
  const int64_t token = first + in_block;
  if (token >= a.tokens) return;
  store_mix(a, token, i, s.logit(1, i, in_block), res);
}

// h in the place of stream 0; the squares of it, as rounded.
template <int kN, int kTiles>
__device__ inline void sum_streams(const MhcOpenArgs& a, int64_t first, OpenShared<kN, kTiles>& s,
                                   const Rows<kN, kTiles>& rows) {
  constexpr int kTile = Sizes<kN, kTiles>::kTile;
  const Lane lane;
  float squares[kTiles] = {};
  for (int tile = 0; tile < kTiles && rows.mine(); ++tile) {
    const int in_block = tile * kTile + lane.token;
    const int64_t token = first + in_block;
    float pre[kN];
    for (int i = 0; i < kN; ++i) pre[i] = sigmoid(s.logit(0, i, in_block)) + a.sinkhorn.pre_eps();
    for (int step = 0; step < rows.steps; ++step) {
      const int c = lane.channel(step);
      const Channels h = weighted(pre, [&](int i) { return load(rows.at(step, tile, i)); });
      squares[tile] = add_squares(squares[tile], h, 0, kChannels);
      store(rows.at(step, tile, 0), h);
      if (a.h && c < a.width && token < a.tokens) store_channels(a.h + token * a.width + c, h);
    }
  }
  put_squares(s, squares);
}

// y of h, which is in the place of stream 0.
template <int kN, int kTiles>
__device__ inline void normalise(const MhcOpenArgs& a, int64_t first,
                                 const OpenShared<kN, kTiles>& s, const Rows<kN, kTiles>& rows) {
  constexpr int kTile = Sizes<kN, kTiles>::kTile;
  if (!rows.mine()) return;
  const Lane lane;
  float rstd[kTiles];
  for (int tile = 0; tile < kTiles; ++tile) {
    const int in_block = tile * kTile + lane.token;
    rstd[tile] = rms_inverse(s, in_block, float(a.width), a.norm_eps);
    if (lane.part == 0 && lane.warp == 0 && first + in_block < a.tokens)
      store(a.rstd + first + in_block, rstd[tile]);
  }
  if (!a.y) return;
  for (int step = 0; step < rows.steps; ++step) {
    const int c = lane.channel(step);
    if (c >= a.width) break;
    Pack<float, 4> gain[2];
    for (int half = 0; half < 2; ++half)
      gain[half] =
          load<Cache::constant>(reinterpret_cast<const Pack<float, 4>*>(a.gain + c) + half);
    for (int tile = 0; tile < kTiles; ++tile) {
      const int64_t token = first + tile * kTile + lane.token;
      if (token >= a.tokens) break;
      const Channels h = load(rows.at(step, tile, 0));
      store_channels(a.y + token * a.width + c, normalised(h, rstd[tile], gain));
    }
  }
}

template <int kN, int kTiles, bool kCloses>
__global__ void __launch_bounds__(kOpenThreads, 1)
    open_streams(MhcOpenArgs a, MhcCloseArgs close, int steps) {
  using S = Sizes<kN, kTiles>;
  static_assert(sizeof(OpenShared<kN, kTiles>) + kMostRowBytes <= kMaxSharedBytes);
  auto& s = shared<OpenShared<kN, kTiles>>();
  const int64_t first = int64_t{block_index().x} * S::kTokens;
  const Rows<kN, kTiles> rows(steps);
  if constexpr (kCloses) {
    load_mixes(close.res, close.post, first, a.tokens, s.mix);
    sync_block();
    fill_closing(close, first, s.mix, rows);
  } else {
    fill(a, first, rows);
  }
  put_sums(s, project(a, rows));
  make_logits(a, first, s);
  if (thread() / kWarp < unsigned(S::kMatrixWarps)) make_mixes(a, first, s);
  sum_streams(a, first, s, rows);
  sync_block();
  normalise(a, first, s, rows);
}

template <bool kCloses>
auto kernel_of(int n, int tiles) {
  return n == 1   ? open_streams<1, 4, kCloses>
         : n == 8 ? open_streams<8, 1, kCloses>
         : n == 2 ? (tiles == 4 ? open_streams<2, 4, kCloses> : open_streams<2, 2, kCloses>)
                  : (tiles == 2 ? open_streams<4, 2, kCloses> : open_streams<4, 1, kCloses>);
}

template <bool kCloses>
void run(const char* name, const MhcOpenArgs& a, const MhcCloseArgs& close, cudaStream_t stream) {
  require_open(name, a);
  if (a.tokens == 0) return;
  const MhcOpenCut cut = mhc_open_cut(a);
  if (cut.cluster > 1) return mhc_open_cluster(name, a, kCloses ? &close : nullptr, stream);
  launch(name, kernel_of<kCloses>(a.n, cut.tokens / mhc_open_tile(a.n)),
         {.grid = {unsigned(cut.blocks)},
          .block = {kOpenThreads},
          .shared_bytes = cut.shared_bytes,
          .stream = stream},
         a, close, cut.steps);
}

}  // namespace

void mhc_open(const MhcOpenArgs& a, cudaStream_t stream) { run<false>("mhc_open", a, {}, stream); }

void mhc_close_open(const MhcCloseArgs& close, const MhcOpenArgs& open, cudaStream_t stream) {
  require_close("mhc_close_open", close);
  require_same_rows("mhc_close_open", close, open);
  run<true>("mhc_close_open", open, close, stream);
}

}  // namespace birkhoff::cuda
