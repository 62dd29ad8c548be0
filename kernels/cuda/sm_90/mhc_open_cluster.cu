// mhc_open by clusters of 8 blocks, which share the channels of 80 tokens (n = 8: 40), so that phi
// is read once for all of them. Otherwise the method is that of open_streams.h (docs/kernels.md has
// a picture).
//
// The block of rank r has the channels of warp r of mhc_open: 32 of each step of 256. Each of its
// warps has a tile of 8 tokens, split among lanes as in mhc_open. So sums have the same terms in
// the same order, with sums over ranks in place of those over warps, and the results are bitwise
// identical. phi streams through a ring buffer in shared memory, 32 rows of one stream at a time,
// filled by bulk copies and read by all warps. The 8 rows for a lane's 8 channels are a separate
// copy, placed so that the lanes of one product read different banks.
//
// Per token, blocks exchange K + 1 sums, which go to the block that makes the token's coefficients,
// n values of H_pre, which go to all blocks, and Σh². Helper warps fetch phi, and run Sinkhorn
// while the others sum streams.
#include "kernels/cuda/device/sm_90.h"
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/mhc_map.h"
#include "kernels/cuda/open_channels.h"
#include "kernels/cuda/streams.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {
namespace {

constexpr int kRanks = kClusterRanks;
constexpr int kGroup = 4;  // lanes per token
constexpr int kTile = int(kWarp) / kGroup;
constexpr int kAhead = 3;                           // steps of rows that are prefetched
constexpr int kBlockChannels = kGroup * kChannels;  // a block's channels in a step

template <int kN>
struct Sizes {
  static constexpr int kTiles = mhc_open_cluster_tiles(kN), kTokens = kTiles * kTile;
  static constexpr int kColumns = kN * (kN + 2), kProducts = (kColumns + 15) / 16;
  static constexpr int kSums = kColumns + 1;  // per token: v·phi, Σv²
  // kOwn: tokens whose coefficients a block makes (its own tokens). kMatrices: those per helper
  // warp. kHelpers: helper warps.
  static constexpr int kOwn = kTokens / kRanks, kMatrices = int(kWarp) / kN;
  static constexpr int kHelpers = (kOwn + kMatrices - 1) / kMatrices;
  static constexpr unsigned kThreads = unsigned(kTiles + kHelpers) * kWarp;
  // In floats: 8 rows of phi, and the stride from one such part to the next, padded to 8 or 24
  // modulo 32 banks.
  static constexpr int kPart = kChannels * kColumns;
  static constexpr int kPlace = kPart % 32 == 24 ? kPart : kPart + 8;
  static constexpr int kStages = kN == 8 ? 2 : 4;
};

template <int kN>
struct ClusterShared {
  using S = Sizes<kN>;
  Mbarrier full[S::kStages], empty[S::kStages];
  union {
    Mix<kN> mix[S::kTokens];                               // first, for closing
    alignas(16) float phi[S::kStages][kGroup][S::kPlace];  // then the ring
    float sums[S::kTokens][S::kSums];                      // then sums over this block's channels
  };
  float own[S::kOwn][S::kSums];  // sums over all channels; logits later replace the first K
  alignas(16) float pre[S::kTokens][kN];
  float squares[S::kTokens];  // Σh² over this block's channels
  alignas(16) float gain[kMhcMostWidth / kRanks];
};

// A thread's position in the work. `token` counts from the cluster's first token.
template <int kN>
struct Place {
  int64_t first, left;  // the cluster's first token; the call's tokens from there on
  int rank, warp, lane, token, part;

  __device__ explicit Place(const MhcOpenArgs& a)
      : first(int64_t{block_index().x / kRanks} * Sizes<kN>::kTokens),
        left(a.tokens - first),
        rank(int(cluster_rank())),
        warp(int(thread() / kWarp)),
        lane(int(thread() % kWarp)),
        token(warp * kTile + lane / kGroup),
        part(lane % kGroup) {}
  __device__ int tiles() const {  // tiles that have tokens
    const int64_t all = (left + kTile - 1) / kTile;
    return all < Sizes<kN>::kTiles ? int(all) : Sizes<kN>::kTiles;
  }
  __device__ bool has_tile() const { return warp < tiles(); }
  __device__ bool helps() const { return warp >= Sizes<kN>::kTiles; }
  __device__ int block_channel(int step) const { return (step * kRanks + rank) * kBlockChannels; }
  __device__ int channel(int step) const { return block_channel(step) + part * kChannels; }
  // The number of steps in which this block has channels.
  __device__ int steps(int width) const {
    return (width - rank * kBlockChannels + kRanks * kBlockChannels - 1) /
           (kRanks * kBlockChannels);
  }
  // The lane's 8 channels of stream i; no other lane accesses them.
  __device__ Channels* row(int step, int i) const {
    return dynamic_shared<Channels>() + ((step * Sizes<kN>::kTiles + warp) * kN + i) * int(kWarp) +
           lane;
  }
};

template <int kN>
__device__ inline void fill_step(const MhcOpenArgs& a, const Place<kN>& at, int step, int steps) {
  if (step < steps) {
    const int c = at.channel(step);
    const bool valid = c < a.width && at.token < at.left;
    for (int i = 0; i < kN; ++i)
      copy_async(at.row(step, i),
                 valid ? a.x + ((at.first + at.token) * kN + i) * a.width + c : a.x,
                 valid ? 16 : 0);
  }
  copy_async_commit();  // even an empty group, so that a wait counts steps
}

// Closes the streams and fills the rows with x', which it also stores.
template <int kN>
__device__ inline void fill_closing(const MhcCloseArgs& a, const Mix<kN>* mix, const Place<kN>& at,
                                    int steps) {
  const int64_t token = at.first + at.token;
  for (int step = 0; step < steps; ++step) {
    const int c = at.channel(step);
    const bool valid = c < a.width && at.token < at.left;
    Channels x[kN] = {}, f = {};
    if (valid) {
      for (int j = 0; j < kN; ++j) x[j] = load_channels(a.x + (token * kN + j) * a.width + c);
      f = load_channels(a.f + token * a.width + c);
    }
    for (int i = 0; i < kN; ++i) {
      const Channels y = valid ? mixed(mix[at.token], i, x, f) : Channels{};
      store(at.row(step, i), y);
      if (valid) store_channels(a.y + (token * kN + i) * a.width + c, y);
    }
  }
}

// Run by one thread: copies phi of the block's channels into the ring, one stream of a step at a
// time.
template <int kN>
__device__ inline void bring_phi(const MhcOpenArgs& a, ClusterShared<kN>& s, const Place<kN>& at,
                                 int steps) {
  using S = Sizes<kN>;
  constexpr unsigned kBytes = S::kPart * sizeof(float);
  const int width = int(a.width);
  fence_async();  // for accesses, before the last block barrier, of what the ring overwrites
  for (int turn = 0; turn < steps * kN; ++turn) {
    const int stage = turn % S::kStages, round = turn / S::kStages;
    const int c = at.block_channel(turn / kN), parts = (width - c) / kChannels;
    const int some = parts < kGroup ? parts : kGroup;
    if (round > 0) mbarrier_wait(&s.empty[stage], unsigned(round - 1) % 2);
    mbarrier_arrive_expect(&s.full[stage], unsigned(some) * kBytes);
    for (int part = 0; part < some; ++part)
      copy_bulk(s.phi[stage][part],
                a.phi + int64_t{turn % kN * width + c + part * kChannels} * S::kColumns, kBytes,
                &s.full[stage]);
  }
}

template <int kN>
struct Partial {
  MmaD products[Sizes<kN>::kProducts] = {};
  float squares = 0;
};

// Adds 8 channels of a stream. phi points at the first channel's row, in the lane's column.
template <int kN>
__device__ inline void add_channels(const float* phi, const Channels& x, Partial<kN>& sum) {
  constexpr int kColumns = Sizes<kN>::kColumns;
  for (int pair = 0; pair < kChannels / 2; ++pair, phi += 2 * kColumns) {
    const MmaB factor = factor_of(x, pair);
    sum.squares = add_squares(sum.squares, x, 2 * pair, 2 * pair + 2);
    for (int p = 0; p < Sizes<kN>::kProducts; ++p) {
      MmaA weights;
      for (int r = 0; r < 4; ++r) {
        const int column = p * 16 + r % 2 * 8;
        weights.r[r] = column + int(thread() % kWarp / kGroup) < kColumns
                           ? to_tf32(phi[r / 2 * kColumns + column])
                           : 0;
      }
      mma_tf32(sum.products[p], weights, factor);
    }
  }
}

// x·phi and Σx² over the block's channels, for the warp's tokens. Copies x into the rows on the
// way, unless closing has filled them (kCloses).
template <int kN, bool kCloses>
__device__ inline Partial<kN> project(const MhcOpenArgs& a, ClusterShared<kN>& s,
                                      const Place<kN>& at, int steps) {
  using S = Sizes<kN>;
  Partial<kN> sum;
  if constexpr (!kCloses)
    for (int step = 0; step < kAhead; ++step) fill_step(a, at, step, steps);
  for (int step = 0; step < steps; ++step) {
    if constexpr (!kCloses) {
      fill_step(a, at, step + kAhead, steps);
      copy_async_wait<kAhead>();  // no barrier: a lane reads only what it copied itself
    }
    // Beyond the last channel x is 0, so any part of phi that was copied will do.
    const int part = at.channel(step) < a.width ? at.part : 0;
    for (int i = 0; i < kN; ++i) {
      const int turn = step * kN + i, stage = turn % S::kStages;
      mbarrier_wait(&s.full[stage], unsigned(turn / S::kStages) % 2);
      add_channels(&s.phi[stage][part][at.lane / kGroup], load(at.row(step, i)), sum);
      sync_warp(kFullMask);
      if (at.lane == 0) mbarrier_arrive(&s.empty[stage]);
    }
  }
  return sum;
}

template <int kN>
__device__ inline void put_sums(ClusterShared<kN>& s, const Place<kN>& at, const Partial<kN>& sum) {
  using S = Sizes<kN>;
  for (int p = 0; p < S::kProducts; ++p)
    for (int r = 0; r < 4; ++r) {
      const int column = p * 16 + r / 2 * 8 + at.lane / kGroup;
      if (column < S::kColumns)
        s.sums[at.warp * kTile + 2 * at.part + r % 2][column] = sum.products[p].v[r];
    }
  const float squares = lanes_sum(sum.squares, 1, kGroup);
  if (at.part == 0) s.sums[at.token][S::kColumns] = squares;
}

// How many of this block's own tokens exist in the call.
template <int kN>
__device__ inline int own_tokens(const Place<kN>& at) {
  const int64_t left = at.left - at.rank * Sizes<kN>::kOwn;
  return left < 0 ? 0 : left < Sizes<kN>::kOwn ? int(left) : Sizes<kN>::kOwn;
}

// For this block's own tokens, sums over the blocks in rank order.
template <int kN>
__device__ inline void gather(ClusterShared<kN>& s, const Place<kN>& at) {
  using S = Sizes<kN>;
  for (int i = int(thread()); i < own_tokens(at) * S::kSums; i += int(S::kThreads)) {
    const int in_own = i / S::kSums, column = i % S::kSums;
    float* const from = &s.sums[at.rank * S::kOwn + in_own][column];
    float sum = 0;
    for (int rank = 0; rank < kRanks; ++rank) sum += load(peer(from, unsigned(rank)));
    s.own[in_own][column] = sum;
  }
}

// Stores u and rho, and replaces the sums by logits.
template <int kN>
__device__ inline void make_logits(const MhcOpenArgs& a, ClusterShared<kN>& s,
                                   const Place<kN>& at) {
  using S = Sizes<kN>;
  for (int i = int(thread()); i < own_tokens(at) * S::kColumns; i += int(S::kThreads)) {
    const int in_own = i / S::kColumns, column = i % S::kColumns;
    const int64_t token = at.first + at.rank * S::kOwn + in_own;
    const float rho = fast_rsqrt(s.own[in_own][S::kColumns] / float(kN * a.width) + a.eps);
    const float u = s.own[in_own][column] * rho;
    store(a.u + token * S::kColumns + column, u);
    if (column == 0) store(a.rho + token, rho);
    s.own[in_own][column] = MhcMap::coefficient<kN>(a, u, column);
  }
}

// Sends H_pre of this block's own tokens to all blocks.
template <int kN>
__device__ inline void spread_pre(const MhcOpenArgs& a, ClusterShared<kN>& s, const Place<kN>& at) {
  using S = Sizes<kN>;
  const int values = own_tokens(at) * kN;
  for (int i = int(thread()); i < values * kRanks; i += int(S::kThreads)) {
    const int in_own = i % values / kN, stream = i % kN;
    const float pre = MhcMap::pre(a, s.own[in_own][stream]);
    store(peer(&s.pre[at.rank * S::kOwn + in_own][stream], unsigned(i / values)), pre);
  }
}

// Makes and stores post and res of one helper warp's tokens.
template <int kN>
__device__ inline void make_mixes(const MhcOpenArgs& a, const ClusterShared<kN>& s,
                                  const Place<kN>& at) {
  using S = Sizes<kN>;
  const int i = at.lane / S::kMatrices;
  const int in_own = (at.warp - S::kTiles) * S::kMatrices + at.lane % S::kMatrices;
  const bool valid = in_own < own_tokens(at);
  const float* const logits = s.own[valid ? in_own : 0];
  float res[kN];
  for (int j = 0; j < kN; ++j) res[j] = valid ? logits[(2 + i) * kN + j] : 0;
  MhcMap::res(a, res);
  const int64_t token = at.first + at.rank * S::kOwn + in_own;
  if (valid) store_mix(a, token, i, MhcMap::post(logits[kN + i]), res);
}

// Writes h over stream 0, and sums the squares of h as rounded.
template <int kN>
__device__ inline void sum_streams(const MhcOpenArgs& a, ClusterShared<kN>& s, const Place<kN>& at,
                                   int steps) {
  const bool valid = at.token < at.left;
  float squares = 0, pre[kN];
  for (int i = 0; i < kN; ++i) pre[i] = valid ? s.pre[at.token][i] : 0;
  for (int step = 0; step < steps; ++step) {
    const int c = at.channel(step);
    const Channels h = weighted(pre, [&](int i) { return load(at.row(step, i)); });
    squares = add_squares(squares, h, 0, kChannels);
    store(at.row(step, 0), h);
    if (a.h && c < a.width && valid) store_channels(a.h + (at.first + at.token) * a.width + c, h);
  }
  squares = lanes_sum(squares, 1, kGroup);
  if (at.part == 0) s.squares[at.token] = squares;
}

// Σh² of the lane's token over the blocks, in rank order. Each of the token's four lanes reads the
// sums of two blocks.
template <int kN>
__device__ inline float all_squares(ClusterShared<kN>& s, const Place<kN>& at) {
  constexpr int kEach = kRanks / kGroup;
  float some[kEach], sum = 0;
  for (int e = 0; e < kEach; ++e)
    some[e] = load(peer(&s.squares[at.token], unsigned(e * kGroup + at.part)));
  for (int rank = 0; rank < kRanks; ++rank)
    sum += shuffle(kFullMask, some[rank / kGroup], unsigned(at.lane - at.part + rank % kGroup));
  return sum;
}

// Makes y from h, which has replaced stream 0.
template <int kN>
__device__ inline void normalise(const MhcOpenArgs& a, const ClusterShared<kN>& s,
                                 const Place<kN>& at, int steps, float squares) {
  const float rstd = fast_rsqrt(squares / float(a.width) + a.norm_eps);
  const int64_t token = at.first + at.token;
  if (at.token >= at.left) return;
  if (at.part == 0 && at.rank == 0) store(a.rstd + token, rstd);
  if (!a.y) return;
  for (int step = 0; step < steps; ++step) {
    const int c = at.channel(step);
    if (c >= a.width) break;
    const auto* from = reinterpret_cast<const Floats*>(s.gain) + 2 * (step * kGroup + at.part);
    const Floats gain[2] = {load(from), load(from + 1)};
    store_channels(a.y + token * a.width + c, normalised(load(at.row(step, 0)), rstd, gain));
  }
}

// Loads gain of the block's channels, in the order of steps.
template <int kN>
__device__ inline void load_gain(const MhcOpenArgs& a, ClusterShared<kN>& s, const Place<kN>& at,
                                 int steps) {
  constexpr int kFloats = 4, kOfStep = kBlockChannels / kFloats;
  for (int i = int(thread()); i < steps * kOfStep; i += int(Sizes<kN>::kThreads)) {
    const int c = at.block_channel(i / kOfStep) + i % kOfStep * kFloats;
    if (c < a.width)
      store(reinterpret_cast<Floats*>(s.gain) + i,
            load<Cache::constant>(reinterpret_cast<const Floats*>(a.gain + c)));
  }
}

template <int kN, bool kCloses>
__global__ void __launch_bounds__(Sizes<kN>::kThreads, 1)
    open_in_cluster(MhcOpenArgs a, MhcCloseArgs close) {
  static_assert(sizeof(ClusterShared<kN>) + kMostClusterRowBytes <= kMaxClusterSharedBytes);
  auto& s = shared<ClusterShared<kN>>();
  const Place<kN> at(a);
  const int steps = at.steps(int(a.width));
  if (thread() == 0)
    for (int stage = 0; stage < Sizes<kN>::kStages; ++stage) {
      mbarrier_init(&s.full[stage], 1);
      mbarrier_init(&s.empty[stage], unsigned(at.tiles()));
      fence_async();
    }
  load_gain(a, s, at, steps);
  if constexpr (kCloses) {
    load_mixes(close.res, close.post, at.first, a.tokens, s.mix);
    sync_block();
    if (at.has_tile()) fill_closing(close, s.mix, at, steps);
  }
  sync_block();
  Partial<kN> sum;
  if (at.has_tile())
    sum = project<kN, kCloses>(a, s, at, steps);
  else if (thread() == Sizes<kN>::kTiles * kWarp)
    bring_phi(a, s, at, steps);
  sync_block();  // sums will overwrite phi
  if (at.has_tile()) put_sums(s, at, sum);
  sync_cluster();
  gather(s, at);
  sync_block();
  make_logits(a, s, at);
  sync_block();
  spread_pre(a, s, at);
  sync_cluster();
  if (at.has_tile()) sum_streams(a, s, at, steps);
  if (at.helps()) make_mixes(a, s, at);
  sync_cluster();
  const float squares = at.has_tile() ? all_squares(s, at) : 0;
  sync_cluster();  // a block must not return while others read its shared memory
  if (at.has_tile()) normalise(a, s, at, steps, squares);
}

template <bool kCloses>
auto kernel_of(int n) {
  return n == 1   ? open_in_cluster<1, kCloses>
         : n == 2 ? open_in_cluster<2, kCloses>
         : n == 4 ? open_in_cluster<4, kCloses>
                  : open_in_cluster<8, kCloses>;
}

unsigned threads_of(int n) {
  return n == 1   ? Sizes<1>::kThreads
         : n == 2 ? Sizes<2>::kThreads
         : n == 4 ? Sizes<4>::kThreads
                  : Sizes<8>::kThreads;
}

}  // namespace

void mhc_open_cluster(const char* name, const MhcOpenArgs& a, const MhcCloseArgs* close,
                      cudaStream_t stream) {
  if (a.tokens == 0) return;
  const MhcOpenCut cut = mhc_open_cluster_cut(a);
  launch(name, close ? kernel_of<true>(a.n) : kernel_of<false>(a.n),
         {.grid = {unsigned(cut.blocks)},
          .block = {threads_of(a.n)},
          .cluster = unsigned(cut.cluster),
          .shared_bytes = cut.shared_bytes,
          .stream = stream},
         a, close ? *close : MhcCloseArgs{});
}

}  // namespace birkhoff::cuda
