// Passes (b) and (c) of mHC's backward in one pass over the rows, by clusters of 8 blocks that
// share the channels of their tokens (docs/kernels.md has a picture). It also makes dres, from
// dlink and x.
//
// A cluster walks the tokens of its split in tiles of 8. Three tiles are pipelined in shared
// memory: one is being copied, one is at its coefficients, and one at dx and dphi. In a block
//
//   one warp      fetches tiles by bulk copies
//   ten warps     have 16 channels of all streams each, or twice 16. They sum dh·x_i and
//                 dlink_i·x_j of tile i + 1, then make dx and dphi of tile i
//   one warp      handles the one token of each tile that this block owns: it takes those sums of
//                 all warps of the cluster to dz, and sends the results to all blocks. Sinkhorn's
//                 forward needs only u, so it runs before the sums arrive
//
// No warp accesses the channels of another. So warps wait only for copies, sums, coefficient rows
// and free stages of the pipeline; there is an mbarrier for each.
//
// Both products use mma_bf16, with dz split into the sum of two bf16. dphi += vᵀ·dz has the halves
// at depths 0 to 7 and 8 to 15, against v twice; dx += dz·phiᵀ has them in rows 0 to 7 and 8 to 15,
// which are then added. phi is rounded to bf16 to make room for a third tile: a term of dz·phiᵀ is
// off by at most 2^-8 of itself. So is the whole of dx, which is larger, when it is rounded.
#include "kernels/cuda/backward_sums.h"
#include "kernels/cuda/device/sm_90.h"
#include "kernels/cuda/mhc.h"
#include "kernels/cuda/mhc_backward_map.h"
#include "kernels/cuda/unrolled.h"

namespace birkhoff::cuda {
namespace {

using Map = MhcBackwardMap;

constexpr int kRanks = kClusterRanks;
constexpr int kTokens = kRanks;  // per tile: one for each block
constexpr int kStages = 3;
constexpr int kWorkers = 10;  // warps that have channels
constexpr int kGroup = 16;    // channels per group; a warp has up to kGroups groups
constexpr int kGroups = 2;
constexpr int kSlab = kWorkers * kGroup * kGroups;  // most channels of a block
constexpr unsigned kThreads = (kWorkers + 2) * kWarp;
static_assert(kSlab * kRanks == kMhcMostWidth);

template <int kN>
struct Shape {
  using S = CoefficientShape<Map, kN>;
  static constexpr int kColumns = S::kColumns, kOwn = S::kRow.own;  // of dz; padded to whole tiles
  static constexpr int kSteps = kOwn / 8, kDepths = (kOwn + 15) / 16;
  static constexpr int kSums = kN + kN * kN;  // per token: dpre, dres
  static constexpr int kQuarter = (kSums + 3) / 4;
};

// A token's coefficients: dz as the sum of two bf16, then pre, res and 2·ds. Rows are an odd number
// of 16-byte units apart, of which kPacks are used, so that eight consecutive rows lie in different
// banks.
template <int kN>
struct Row {
  static constexpr int kHalves = Shape<kN>::kOwn / kChannels, kPre = 0, kRes = kN,
                       kPull = kN + kN * kN, kPacks = 2 * kHalves + kPull / 4 + 1;
  alignas(16) bf16 high[Shape<kN>::kOwn], low[Shape<kN>::kOwn];
  float others[((kPacks | 1) - 2 * kHalves) * 4];
};

// The rows of a tile's eight tokens, padded so that they too lie in different banks.
template <int kN>
struct Tile {
  alignas(16) bf16 x[kTokens][kN * kSlab + kChannels];  // later dx
  alignas(16) bf16 dlink[kTokens][kN * kSlab + kChannels];
  alignas(16) bf16 dh[kTokens][kSlab + kChannels];
};

template <int kN>
struct Shared {
  alignas(16) bf16 phi[kN][kSlab][Shape<kN>::kOwn];
  Tile<kN> tiles[kStages];
  Row<kN> rows[2][kTokens], sent;
  float sums[2][kRanks * kWorkers][4 * Shape<kN>::kQuarter];  // of this block's token, per warp
  CoefficientGroup<Map, kN> own;                              // only its first token is used
  CoefficientParameters<Map, kN> parameters;
  Mbarrier full[kStages], empty[kStages], summed[2], rowed[2];
};

// A thread's position in the work.
struct Place {
  int rank, warp, lane;
  int64_t first, end;   // tokens of the cluster's split
  int64_t channel;      // the block's first channel
  int channels, tiles;  // number of channels of the block; of tiles of the split

  __device__ Place(const MhcOpenBackwardArgs& a, const MhcOpenBackwardCut& cut)
      : rank(int(cluster_rank())),
        warp(int(thread() / kWarp)),
        lane(int(thread() % kWarp)),
        first(int64_t{block_index().x / kRanks} * cut.split_tokens),
        end(first + cut.split_tokens < a.tokens ? first + cut.split_tokens : a.tokens),
        channel(int64_t{rank} * cut.slab),
        channels(channel + cut.slab <= a.width ? cut.slab
                 : channel < a.width           ? int(a.width - channel)
                                               : 0),
        tiles(int((end - first + kTokens - 1) / kTokens)) {}
  __device__ int64_t token(int tile) const { return first + int64_t{tile} * kTokens; }
  __device__ bool has(int64_t t) const { return t < end; }
  // A lane has a piece of 8 channels of one token; eight consecutive lanes have the same channels
  // of the tile's eight tokens. These return the piece's first channel in the block and its token
  // in the tile; group_channel() returns the first channel of one of the warp's groups.
  __device__ int piece_channel() const {
    return (warp + lane / 16 * kWorkers) * kGroup + lane / 8 % 2 * kChannels;
  }
  __device__ int piece_token() const { return lane % kTokens; }
  __device__ int group_channel(int group) const { return (warp + group * kWorkers) * kGroup; }
};

// Run by one warp: copies the rows of one tile after another, as stages become empty.
template <int kN>
__device__ inline void bring(const MhcOpenBackwardArgs& a, Shared<kN>& s, const Place& at) {
  const auto bytes = unsigned(at.channels) * unsigned(sizeof(bf16));
  for (int i = 0; i < at.tiles; ++i) {
    const int stage = i % kStages, round = i / kStages;
    const int64_t t = at.token(i);
    const int tokens = at.end - t < kTokens ? int(at.end - t) : kTokens;
    const int pieces = bytes > 0 ? tokens * (2 * kN + 1) : 0;
    if (round > 0) mbarrier_wait(&s.empty[stage], unsigned(round - 1) % 2);
    if (at.lane == 0) mbarrier_arrive_expect(&s.full[stage], unsigned(pieces) * bytes);
    sync_warp(kFullMask);
    for (int piece = at.lane; piece < pieces; piece += int(kWarp)) {
      const int token = piece % tokens, row = piece / tokens;
      const int64_t stream = (t + token) * kN + row % kN;
      Tile<kN>& tile = s.tiles[stage];
      if (row == 2 * kN)
        copy_bulk(tile.dh[token], a.dh + (t + token) * a.width + at.channel, bytes, &s.full[stage]);
      else
        copy_bulk((row < kN ? tile.x : tile.dlink)[token] + row % kN * kSlab,
                  (row < kN ? a.x : a.dlink) + stream * a.width + at.channel, bytes,
                  &s.full[stage]);
    }
  }
}

// Σ dh·x_i and Σ dlink_i·x_j over 8 channels.
template <int kN>
__device__ inline void add_products(const Tile<kN>& tile, int token, int channel, float* sums) {
  const auto at = [&](const bf16* row) {
    return load(reinterpret_cast<const Channels*>(row + channel));
  };
  Channels x[kN];
  for (int j = 0; j < kN; ++j) x[j] = at(tile.x[token] + j * kSlab);
  unrolled<kN + 1>([&](int i) {  // with dh, then with dlink_i
    const Channels d = at(i == 0 ? tile.dh[token] : tile.dlink[token] + (i - 1) * kSlab);
    for (int e = 0; e < kChannels; ++e)
      for (int j = 0; j < kN; ++j)
        sums[i * kN + j] = fmaf(cuda::channel(d, e), cuda::channel(x[j], e), sums[i * kN + j]);
  });
}

// One step of a reduction over lanes that differ in `bit`: each adds up one half of the sums, and
// keeps it in the first kHalf elements.
template <int kHalf>
__device__ inline void share_sums(float* sums, unsigned bit) {
  const bool upper = thread() % kWarp & bit;
  for (int k = 0; k < kHalf; ++k) {
    const float keep = upper ? sums[k + kHalf] : sums[k], give = upper ? sums[k] : sums[k + kHalf];
    sums[k] = keep + shuffle_xor(kFullMask, give, bit);
  }
}

// Reduces this warp's channels of a tile and sends the sums to the block that owns the token.
// Zeroes x outside the tile.
template <int kN>
__device__ inline void send_sums(Shared<kN>& s, const Place& at, int i) {
  constexpr int kQuarter = Shape<kN>::kQuarter;
  Tile<kN>& tile = s.tiles[i % kStages];
  const int token = at.piece_token(), channel = at.piece_channel();
  float sums[4 * kQuarter] = {};
  if (channel < at.channels && at.has(at.token(i) + token))
    add_products<kN>(tile, token, channel, sums);
  else
    for (int j = 0; j < kN; ++j)
      store(reinterpret_cast<Channels*>(&tile.x[token][j * kSlab + channel]), Channels{});
  share_sums<2 * kQuarter>(sums, 16);
  share_sums<kQuarter>(sums, 8);
  float* const mine = s.sums[i % 2][at.rank * kWorkers + at.warp];
  const int first = (at.lane / 16 * 2 + at.lane / 8 % 2) * kQuarter;
  for (int k = 0; k < kQuarter; ++k) store(peer(mine + first + k, unsigned(token)), sums[k]);
  sync_warp(kFullMask);
  if (at.lane < kRanks) mbarrier_arrive_at_peer(&s.summed[i % 2], unsigned(at.lane));
}

// Loads u, 1/rms and dpost of the block's token of a tile and computes H_res, none of which needs
// the sums.
template <int kN>
__device__ inline void begin_token(const MhcOpenBackwardArgs& a, Shared<kN>& s, const Place& at,
                                   int64_t t, SinkhornLanes<kN>& sinkhorn) {
  constexpr int kColumns = Shape<kN>::kColumns;
  const bool there = at.has(t);
  for (int c = at.lane; c < kColumns; c += int(kWarp))
    s.own.u[0][c] = there ? load(a.u + t * kColumns + c) : 0;
  for (int i = at.lane; i < kN; i += int(kWarp))
    s.own.row[0][kN + i] = there ? load(a.dpost + t * kN + i) : 0;
  if (at.lane == 0) s.own.norms[0][0] = there ? load(a.rho + t) : 0;
  sync_warp(kFullMask);
  Map::make_matrices<kN>(s.parameters, s.own, sinkhorn);
}

// Adds up the sums of all warps of the cluster, in order of rank and warp.
template <int kN>
__device__ inline void add_sums(Shared<kN>& s, const Place& at, int i) {
  for (int k = at.lane; k < Shape<kN>::kSums; k += int(kWarp)) {
    float sum = 0;
    for (int from = 0; from < kRanks * kWorkers; ++from) sum += s.sums[i % 2][from][k];
    s.own.row[0][k < kN ? k : kN + k] = sum;
  }
}

// Sends the token's coefficient row to all blocks.
template <int kN>
__device__ inline void send_row(Shared<kN>& s, const Place& at, int i) {
  using R = Row<kN>;
  const float* row = s.own.row[0];
  for (int c = at.lane; c < Shape<kN>::kOwn; c += int(kWarp)) {
    const float dz = c < Shape<kN>::kColumns ? row[c] : 0;
    s.sent.high[c] = round_bf16(dz);
    s.sent.low[c] = round_bf16(dz - widen(round_bf16(dz)));
  }
  for (int e = at.lane; e < R::kPacks * 4 - Shape<kN>::kOwn; e += int(kWarp))
    s.sent.others[e] = e <= R::kPull ? row[Shape<kN>::S::kRow.pre + e] : 0;
  sync_warp(kFullMask);
  const auto packs = [](R& of) { return reinterpret_cast<Floats*>(&of); };
  for (int k = at.lane; k < R::kPacks * kRanks; k += int(kWarp)) {
    const int pack = k % R::kPacks;
    store(peer(packs(s.rows[i % 2][at.rank]) + pack, unsigned(k / R::kPacks)),
          load(packs(s.sent) + pack));
  }
  sync_warp(kFullMask);
  if (at.lane < kRanks) mbarrier_arrive_at_peer(&s.rowed[i % 2], unsigned(at.lane));
}

// Run by one warp: makes the coefficient row of the block's token of each tile, then stores the
// block's partial sums of dalpha and db.
template <int kN>
__device__ inline void make_rows(const MhcOpenBackwardArgs& a, Shared<kN>& s, const Place& at,
                                 const MhcOpenBackwardCut& cut) {
  constexpr int kColumns = Shape<kN>::kColumns, kHeld = Shape<kN>::S::kHeld;
  SinkhornLanes<kN> sinkhorn(reinterpret_cast<float*>(&s + 1), a.sinkhorn);
  ColumnSums<Map, kN> sums = {};
  for (int i = 0; i < at.tiles; ++i) {
    begin_token(a, s, at, at.token(i) + at.rank, sinkhorn);
    mbarrier_wait_for_peers(&s.summed[i % 2], unsigned(i / 2) % 2);
    add_sums(s, at, i);
    sync_warp(kFullMask);
    Map::of_gates<kN>(a, s.parameters, s.own);
    Map::of_matrices<kN>(s.own, sinkhorn);
    sync_warp(kFullMask);
    affine_backward(a, s.parameters, s.own, 0, sums);
    sync_warp(kFullMask);
    send_row(s, at, i);
  }
  float* const to = a.workspace + cut.sums + int64_t{block_index().x} * 2 * kColumns;
  for (int h = 0; h < kHeld; ++h) {
    const int c = at.lane + h * int(kWarp);
    if (c >= kColumns) break;
    store(to + c, sums.products[h]), store(to + kColumns + c, sums.gradients[h]);
  }
}

template <int kN>
using DPhi = MmaD[kGroups][kN][Shape<kN>::kSteps];

// dphi of a group's channels += vᵀ·dz over 8 tokens, with dz as high + low at two depths.
template <int kN>
__device__ inline void add_outer(const Tile<kN>& tile, const Row<kN> (&rows)[kTokens], int channel,
                                 MmaD (&sums)[kN][Shape<kN>::kSteps]) {
  constexpr int kSteps = Shape<kN>::kSteps;
  const int lane = int(thread() % kWarp), token = lane % 8, half = lane / 8 % 2, second = lane / 16;
  MmaB dz[kSteps];
  unrolled<(kSteps + 1) / 2>([&](int p) {
    const int step = 2 * p + second < kSteps ? 2 * p + second : 2 * p;
    uint32_t r[4];
    ldmatrix_x4_transposed(r, (half ? rows[token].low : rows[token].high) + step * 8);
    dz[2 * p] = {{r[0], r[1]}};
    if (2 * p + 1 < kSteps) dz[2 * p + 1] = {{r[2], r[3]}};
  });
  unrolled<(kN + 1) / 2>([&](int p) {
    const int stream = 2 * p + second < kN ? 2 * p + second : 2 * p;
    uint32_t r[4];
    ldmatrix_x4_transposed(r, &tile.x[token][stream * kSlab + channel + half * kChannels]);
    unrolled<kSteps>([&](int step) {
      mma_bf16(sums[2 * p][step], {{r[0], r[1], r[0], r[1]}}, dz[step]);
      if (2 * p + 1 < kN) mma_bf16(sums[2 * p + 1][step], {{r[2], r[3], r[2], r[3]}}, dz[step]);
    });
  });
}

// dz of eight tokens as mma factors, its high parts in rows 0 to 7, its low ones in rows 8 to 15.
template <int kN>
struct DzRows {
  MmaA at[Shape<kN>::kDepths];

  __device__ explicit DzRows(const Row<kN>& row) {  // the lane's token
    const auto pair = [](const bf16* p) { return load(reinterpret_cast<const uint32_t*>(p)); };
    for (int depth = 0; depth < Shape<kN>::kDepths; ++depth) {
      const int k = depth * 16 + int(thread() % 4) * 2;
      const bool whole = depth * 16 + 8 < Shape<kN>::kOwn;
      at[depth] = {{pair(row.high + k), pair(row.low + k), whole ? pair(row.high + k + 8) : 0,
                    whole ? pair(row.low + k + 8) : 0}};
    }
  }
};

// Computes dx of 8 channels of all tokens and streams, in place of x. A lane has two channels of
// one token; `there` says whether that token exists.
template <int kN>
__device__ inline void make_dx(const Shared<kN>& s, Tile<kN>& tile, const Row<kN>& row,
                               const DzRows<kN>& dz, int first, bool there) {
  const int lane = int(thread() % kWarp), token = lane / 4, k = lane % 4 * 2, channel = first + k;
  const auto two = [&](const bf16* p) {
    const uint32_t pair = there ? load(reinterpret_cast<const uint32_t*>(p)) : 0;
    return Pack<float, 2>{{widen({uint16_t(pair)}), widen({uint16_t(pair >> 16)})}};
  };
  MmaD d[kN] = {};
  const auto dh = two(&tile.dh[token][channel]);
  for (int j = 0; j < kN; ++j) {
    const auto x = two(&tile.x[token][j * kSlab + channel]);
    for (int e = 0; e < 2; ++e)
      d[j].v[e] = fmaf(row.others[Row<kN>::kPull], x.v[e], row.others[Row<kN>::kPre + j] * dh.v[e]);
  }
  for (int i = 0; i < kN; ++i) {
    const auto dlink = two(&tile.dlink[token][i * kSlab + channel]);
    for (int j = 0; j < kN; ++j)
      for (int e = 0; e < 2; ++e)
        d[j].v[e] = fmaf(row.others[Row<kN>::kRes + i * kN + j], dlink.v[e], d[j].v[e]);
  }
  for (int j = 0; j < kN; ++j) {
    unrolled<Shape<kN>::kDepths>([&](int depth) {
      const bf16* phi = s.phi[j][first + token] + depth * 16 + k;
      const bool whole = depth * 16 + 8 < Shape<kN>::kOwn;
      mma_bf16(d[j], dz.at[depth],
               {{load(reinterpret_cast<const uint32_t*>(phi)),
                 whole ? load(reinterpret_cast<const uint32_t*>(phi + 8)) : 0}});
    });
    store(reinterpret_cast<uint32_t*>(&tile.x[token][j * kSlab + channel]),
          as_pair(round_bf16(d[j].v[0] + d[j].v[2]), round_bf16(d[j].v[1] + d[j].v[3])));
  }
}

template <int kN>
__device__ inline void store_dx(const MhcOpenBackwardArgs& a, const Tile<kN>& tile, const Place& at,
                                int64_t first) {
  const int token = at.piece_token(), channel = at.piece_channel();
  if (channel >= at.channels || !at.has(first + token)) return;
  for (int j = 0; j < kN; ++j)
    store_channels(a.dx + ((first + token) * kN + j) * a.width + at.channel + channel,
                   load(reinterpret_cast<const Channels*>(&tile.x[token][j * kSlab + channel])));
}

// Makes and stores dx of a tile, and adds its part of dphi.
template <int kN>
__device__ inline void finish(const MhcOpenBackwardArgs& a, Shared<kN>& s, const Place& at, int i,
                              DPhi<kN>& dphi) {
  Tile<kN>& tile = s.tiles[i % kStages];
  mbarrier_wait_for_peers(&s.rowed[i % 2], unsigned(i / 2) % 2);
  const auto& rows = s.rows[i % 2];
  unrolled<kGroups>([&](int group) {
    if (at.group_channel(group) < at.channels)
      add_outer<kN>(tile, rows, at.group_channel(group), dphi[group]);
  });
  sync_warp(kFullMask);  // dx will overwrite x
  const Row<kN>& row = rows[at.lane / 4];
  const DzRows<kN> dz(row);
  const bool there = at.has(at.token(i) + at.lane / 4);
  for (int half = 0; half < kGroups * 2; ++half) {
    const int first = at.group_channel(half / 2) + half % 2 * 8;
    if (first < at.channels) make_dx(s, tile, row, dz, first, there);
  }
  sync_warp(kFullMask);
  store_dx(a, tile, at, at.token(i));
  fence_async();
  sync_warp(kFullMask);
  if (at.lane == 0) mbarrier_arrive(&s.empty[i % kStages]);
}

template <int kN>
__device__ inline void store_dphi(const MhcOpenBackwardArgs& a, const Place& at, float* to,
                                  const DPhi<kN>& dphi) {
  constexpr int kColumns = Shape<kN>::kColumns, kWide = kColumns % 2 == 0 ? 2 : 1;
  unrolled<kGroups * 2>([&](int half) {
    const int channel = at.group_channel(half / 2) + half % 2 * 8 + at.lane / 4;
    if (channel >= at.channels) return;
    unrolled<kN>([&](int j) {
      float* const row = to + (int64_t{j} * a.width + at.channel + channel) * kColumns;
      unrolled<Shape<kN>::kSteps * 2 / kWide>([&](int q) {
        const int step = q * kWide / 2, e = q * kWide % 2, column = step * 8 + at.lane % 4 * 2 + e;
        if (column >= kColumns) return;
        Pack<float, kWide> values;
        for (int k = 0; k < kWide; ++k)
          values.v[k] = dphi[half / 2][j][step].v[half % 2 * 2 + e + k];
        store(reinterpret_cast<Pack<float, kWide>*>(row + column), values);
      });
    });
  });
}

// Loads phi of the block's channels as bf16, zero-padded.
template <int kN>
__device__ inline void load_phi(const MhcOpenBackwardArgs& a, Shared<kN>& s, const Place& at) {
  constexpr int kColumns = Shape<kN>::kColumns, kOwn = Shape<kN>::kOwn;
  constexpr int kWide = kColumns % 4 == 0 ? 4 : 1;
  for (int i = int(thread()); i < kN * kSlab * kOwn / kWide; i += int(kThreads)) {
    const int column = i % (kOwn / kWide) * kWide, channel = i / (kOwn / kWide) % kSlab,
              j = i / (kOwn / kWide) / kSlab;
    Pack<float, kWide> values = {};
    if (channel < at.channels && column < kColumns)
      values = load<Cache::constant>(reinterpret_cast<const Pack<float, kWide>*>(
          a.phi + (int64_t{j} * a.width + at.channel + channel) * kColumns + column));
    Pack<bf16, kWide> rounded;
    for (int e = 0; e < kWide; ++e) rounded.v[e] = round_bf16(values.v[e]);
    store(reinterpret_cast<Pack<bf16, kWide>*>(&s.phi[j][channel][column]), rounded);
  }
}

template <int kN>
__device__ inline void begin_block(const MhcOpenBackwardArgs& a, Shared<kN>& s, const Place& at) {
  if (thread() == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      mbarrier_init(&s.full[stage], 1);
      mbarrier_init(&s.empty[stage], kWorkers);
    }
    for (int parity = 0; parity < 2; ++parity) {
      mbarrier_init(&s.summed[parity], kRanks * kWorkers);
      mbarrier_init(&s.rowed[parity], kRanks);
    }
    fence_async();
  }
  load_parameters<Map, kN>(a, s.parameters);
  load_phi(a, s, at);
  // For the group's unused tokens.
  for (int i = int(thread()); i < int(sizeof s.own / sizeof(float)); i += int(kThreads))
    reinterpret_cast<float*>(&s.own)[i] = 0;
}

template <int kN>
__global__ void __launch_bounds__(kThreads, 1)
    open_backward_in_cluster(MhcOpenBackwardArgs a, MhcOpenBackwardCut cut) {
  auto& s = *dynamic_shared<Shared<kN>>();
  const Place at(a, cut);
  begin_block(a, s, at);
  sync_cluster();
  if (at.warp < kWorkers) {
    DPhi<kN> dphi = {};
    const auto sum = [&](int i) {
      mbarrier_wait(&s.full[i % kStages], unsigned(i / kStages) % 2);
      send_sums(s, at, i);
    };
    sum(0);
    for (int i = 0; i < at.tiles; ++i) {
      if (i + 1 < at.tiles) sum(i + 1);
      finish(a, s, at, i, dphi);
    }
    store_dphi<kN>(a, at, a.workspace + cut.dphi + block_index().x / kRanks * cut.weights, dphi);
  } else if (at.warp == kWorkers) {
    make_rows(a, s, at, cut);
  } else {
    bring(a, s, at);
  }
  // This block has waited for everything that peers write to it, so it may return before they do.
}

template <int kN>
void launch_cluster(const MhcOpenBackwardArgs& a, const MhcOpenBackwardCut& cut,
                    cudaStream_t stream) {
  const auto bytes = [](int iterations) {
    const SinkhornHow how{.v4 = true, .iterations = iterations};
    return sizeof(Shared<kN>) + size_t(SinkhornLanes<kN>::trace_floats(how)) * sizeof(float);
  };
  static_assert(bytes(kMhcClusterIterations) <= kMaxClusterSharedBytes);
  launch("mhc_open_backward", open_backward_in_cluster<kN>,
         {.grid = {cut.blocks},
          .block = {kThreads},
          .cluster = kRanks,
          .shared_bytes = bytes(a.sinkhorn.iterations),
          .stream = stream},
         a, cut);
}

}  // namespace

void mhc_open_backward_cluster(const MhcOpenBackwardArgs& a, cudaStream_t stream) {
  const MhcOpenBackwardCut cut = mhc_open_backward_cluster_cut(a);
  if (a.tokens > 0)
    a.n == 1   ? launch_cluster<1>(a, cut, stream)
    : a.n == 2 ? launch_cluster<2>(a, cut, stream)
               : launch_cluster<4>(a, cut, stream);
  launch_total_sums<Map>("mhc_open_backward", a, cut, stream);
  sum_splits({a.workspace + cut.dphi, cut.splits, cut.weights, a.dphi_base, a.dphi}, stream);
}

}  // namespace birkhoff::cuda
