// (c) of the three passes. A block keeps a slab of channels of all streams, with its rows of phi
// and its partial dphi on the chip, and walks the tokens of its split in tiles of 16; copies of the
// next tile are under way meanwhile. A slab has to have all streams, since dx_j mixes them.
//
// dphi += vᵀ·dz by mma_bf16: v is bf16 already and comes transposed by ldmatrix; dz is the sum of
// two bf16, right to 2^-16. tf32, as fast, would be right to 2^-11, and dphi, which is kept in f32
// and summed over micro-batches, is where it would show.
// dx += dz·phiᵀ by mma_tf32 on top of the mix in f32: right to 2^-10 of a term, where rounding dx
// itself takes 2^-8; three products of halves would cost twice as much at K = 24.
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/mhc_passes.h"
#include "kernels/cuda/unrolled.h"

namespace birkhoff::cuda {
namespace {

template <int kN>
struct Shape {
  static constexpr MhcRow kRow{kN};
  static constexpr int kSlab = mhc_slab(kN), kRows = kN * kSlab;  // of phi
  static constexpr int kWarps = kN == 8 ? 8 : 4;
  static constexpr unsigned kThreads = unsigned(kWarps) * kWarp;
  static constexpr int kTiles = kRows / 16 / kWarps;  // of 16 rows of dphi, of a warp
  static constexpr int kSteps = kRow.padded / 8;      // tiles of 8 columns
  // dx of 16 tokens × 8 channels × kGroup streams is one piece of work. Two at n = 8: beside its
  // 80 sums of dphi a lane has no registers for four.
  static constexpr int kGroup = kN < 4 ? kN : kN == 4 ? 4 : 2;
  static constexpr int kPieces = kSlab / 8 * (kN / kGroup) / kWarps;
};

// Rows are an odd number of 16 bytes apart: eight of them, a row a group of lanes, lie in different
// banks for ldmatrix and for fragments alike.
template <int kN>
struct Tile {
  alignas(16) bf16 x[kMhcTile][Shape<kN>::kRows + kPack];  // and then dx
  alignas(16) bf16 dlink[kMhcTile][Shape<kN>::kRows + kPack];
  alignas(16) bf16 dh[kMhcTile][Shape<kN>::kSlab + kPack];
  alignas(16) float c[kMhcTile][Shape<kN>::kRow.stride];
};

template <int kN>
struct Shared {
  alignas(16) uint32_t phi[Shape<kN>::kRows][Shape<kN>::kRow.padded + 4];  // tf32
  Tile<kN> tiles[2];
};

// Number i of `columns` pieces a row, eight rows side by side: neither banks nor sectors are
// wasted.
struct Piece {
  int row, column;
  __device__ Piece(int i, int columns)
      : row(i % 8 + i / (8 * columns) * 8), column(i / 8 % columns) {}
};

template <int kN>
__device__ inline void load_phi(const MhcOpenBackwardArgs& a, int64_t channel, Shared<kN>& s) {
  using S = Shape<kN>;
  constexpr int kColumns = S::kRow.columns, kWide = kColumns % 4 == 0 ? 4 : 1;
  for (int i = int(thread()); i < S::kRows * S::kRow.padded / kWide; i += int(S::kThreads)) {
    const Piece at(i, S::kRow.padded / kWide);
    const int64_t c = channel + at.row % S::kSlab;
    const int64_t row = at.row / S::kSlab * a.width + c;
    using Values = Pack<float, kWide>;
    Values values = {};
    if (c < a.width && at.column * kWide < kColumns)
      values = load<Cache::constant>(
          reinterpret_cast<const Values*>(a.phi + row * kColumns + at.column * kWide));
    Pack<uint32_t, kWide> rounded;
    for (int e = 0; e < kWide; ++e) rounded.v[e] = to_tf32(values.v[e]);
    store(reinterpret_cast<Pack<uint32_t, kWide>*>(&s.phi[at.row][at.column * kWide]), rounded);
  }
}

// Copies of the tile from token `first` on; zeros behind the last token and channel.
template <int kN>
__device__ inline void copy_tile(const MhcOpenBackwardArgs& a, int64_t first, int64_t end,
                                 int64_t channel, Tile<kN>& tile) {
  using S = Shape<kN>;
  constexpr int kChunks = S::kSlab / kPack, kCoefficients = S::kRow.floats / 4;
  const int id = int(thread());
  const auto copy = [&](void* to, const bf16* rows, int64_t row, int64_t c, int64_t t) {
    const bool there = t < end && c < a.width;
    copy_async(to, there ? rows + row * a.width + c : rows, there ? 16 : 0);
  };
  for (int i = id; i < kMhcTile * kN * kChunks; i += int(S::kThreads)) {
    const int chunk = i % kChunks, stream = i / kChunks % kN, row = i / (kChunks * kN);
    const int64_t t = first + row, c = channel + chunk * kPack;
    const int at = stream * S::kSlab + chunk * kPack;
    copy(&tile.x[row][at], a.x, t * kN + stream, c, t);
    copy(&tile.dlink[row][at], a.dlink, t * kN + stream, c, t);
  }
  for (int i = id; i < kMhcTile * kChunks; i += int(S::kThreads)) {
    const Piece at(i, kChunks);
    const int64_t t = first + at.row, c = channel + at.column * kPack;
    copy(&tile.dh[at.row][at.column * kPack], a.dh, t, c, t);
  }
  for (int i = id; i < kMhcTile * kCoefficients; i += int(S::kThreads)) {
    const Piece at(i, kCoefficients);
    const bool there = first + at.row < end;
    copy_async(
        &tile.c[at.row][at.column * 4],
        there ? a.workspace + (first + at.row) * S::kRow.floats + at.column * 4 : a.workspace,
        there ? 16 : 0);
  }
  copy_async_commit();
}

// dphi of the warp's rows += those channels of 16 tokens, transposed, · dz.
template <int kN>
__device__ inline void add_outer(const Tile<kN>& tile,
                                 MmaD (&dphi)[Shape<kN>::kTiles][Shape<kN>::kSteps]) {
  using S = Shape<kN>;
  const int lane = int(thread() % kWarp), warp = int(thread() / kWarp);
  MmaA v[S::kTiles];
  unrolled<S::kTiles>([&](int i) {
    const int token = lane % 8 + lane / 16 * 8,
              row = (warp * S::kTiles + i) * 16 + lane / 8 % 2 * 8;
    ldmatrix_x4_transposed(v[i].r, &tile.x[token][row]);
  });
  unrolled<S::kSteps>([&](int step) {
    MmaB high, low;
    for (int r = 0; r < 2; ++r) {
      bf16 h[2], l[2];
      for (int e = 0; e < 2; ++e) {
        const float dz = tile.c[lane % 4 * 2 + e + r * 8][step * 8 + lane / 4];
        h[e] = round_bf16(dz), l[e] = round_bf16(dz - widen(h[e]));
      }
      high.r[r] = as_pair(h[0], h[1]), low.r[r] = as_pair(l[0], l[1]);
    }
    unrolled<S::kTiles>([&](int i) {
      mma_bf16(dphi[i][step], v[i], high);
      mma_bf16(dphi[i][step], v[i], low);
    });
  });
}

// Two channels as floats.
__device__ inline Pack<float, 2> two(const bf16* p) {
  const auto pair = load(reinterpret_cast<const Pack<bf16, 2>*>(p));
  return {{widen(pair.v[0]), widen(pair.v[1])}};
}

// Registers 2·r and 2·r + 1 of d hold channels c and c + 1 of token row + 8·r, as mma has them.
template <int kN>
__device__ inline void mix(const Tile<kN>& tile, int stream, int channel,
                           MmaD (&d)[Shape<kN>::kGroup]) {
  using S = Shape<kN>;
  for (int r = 0; r < 2; ++r) {
    const int row = int(thread() % kWarp) / 4 + 8 * r;
    const float* c = tile.c[row];
    const auto dh = two(&tile.dh[row][channel]);
    for (int j = 0; j < S::kGroup; ++j) {
      const auto x = two(&tile.x[row][(stream + j) * S::kSlab + channel]);
      for (int e = 0; e < 2; ++e)
        d[j].v[2 * r + e] = fmaf(c[S::kRow.pull], x.v[e], c[S::kRow.pre + stream + j] * dh.v[e]);
    }
    for (int i = 0; i < kN; ++i) {
      const auto dlink = two(&tile.dlink[row][i * S::kSlab + channel]);
      for (int j = 0; j < S::kGroup; ++j)
        for (int e = 0; e < 2; ++e)
          d[j].v[2 * r + e] =
              fmaf(c[S::kRow.res + i * kN + stream + j], dlink.v[e], d[j].v[2 * r + e]);
    }
  }
}

// dx of a piece, where its x was.
template <int kN>
__device__ inline void make_dx(Shared<kN>& s, Tile<kN>& tile, int piece) {
  using S = Shape<kN>;
  const int lane = int(thread() % kWarp), group = lane / 4, in_group = lane % 4;
  const int first = piece % (S::kSlab / 8) * 8, stream = piece / (S::kSlab / 8) * S::kGroup;
  MmaD d[S::kGroup];
  mix<kN>(tile, stream, first + in_group * 2, d);
  unrolled<S::kSteps>([&](int step) {
    const int k = step * 8 + in_group;
    const auto dz = [&](int row, int column) { return to_tf32(tile.c[row][column]); };
    const MmaA a{{dz(group, k), dz(group + 8, k), dz(group, k + 4), dz(group + 8, k + 4)}};
    for (int j = 0; j < S::kGroup; ++j) {
      const uint32_t* phi = s.phi[(stream + j) * S::kSlab + first + group];
      mma_tf32(d[j], a, {{phi[k], phi[k + 4]}});
    }
  });
  for (int r = 0; r < 2; ++r)
    for (int j = 0; j < S::kGroup; ++j) {
      bf16* to = &tile.x[group + 8 * r][(stream + j) * S::kSlab + first + in_group * 2];
      store(reinterpret_cast<uint32_t*>(to),
            as_pair(round_bf16(d[j].v[2 * r]), round_bf16(d[j].v[2 * r + 1])));
    }
}

template <int kN>
__device__ inline void store_dx(const MhcOpenBackwardArgs& a, const Tile<kN>& tile, int64_t first,
                                int64_t end, int64_t channel) {
  using S = Shape<kN>;
  constexpr int kChunks = S::kSlab / kPack;
  for (int i = int(thread()); i < kMhcTile * kN * kChunks; i += int(S::kThreads)) {
    const int chunk = i % kChunks, stream = i / kChunks % kN, row = i / (kChunks * kN);
    const int64_t t = first + row, c = channel + chunk * kPack;
    if (t >= end || c >= a.width) continue;
    const auto* from = &tile.x[row][stream * S::kSlab + chunk * kPack];
    store<Cache::streaming>(reinterpret_cast<Bf16s*>(a.dx + (t * kN + stream) * a.width + c),
                            load(reinterpret_cast<const Bf16s*>(from)));
  }
}

// `to`: the split's dphi [n·C, K].
template <int kN>
__device__ inline void store_dphi(const MhcOpenBackwardArgs& a, int64_t channel, float* to,
                                  const MmaD (&dphi)[Shape<kN>::kTiles][Shape<kN>::kSteps]) {
  using S = Shape<kN>;
  constexpr int kColumns = S::kRow.columns, kWide = kColumns % 2 == 0 ? 2 : 1;
  const int lane = int(thread() % kWarp), warp = int(thread() / kWarp);
  unrolled<S::kTiles * 2>([&](int i) {
    const int row = (warp * S::kTiles + i / 2) * 16 + lane / 4 + i % 2 * 8;
    const int64_t c = channel + row % S::kSlab;
    if (c >= a.width) return;
    float* out = to + (row / S::kSlab * a.width + c) * kColumns;
    unrolled<S::kSteps * 2 / kWide>([&](int q) {
      const int step = q * kWide / 2, e = q * kWide % 2, column = step * 8 + lane % 4 * 2 + e;
      if (column >= kColumns) return;
      Pack<float, kWide> values;
      for (int k = 0; k < kWide; ++k) values.v[k] = dphi[i / 2][step].v[i % 2 * 2 + e + k];
      store(reinterpret_cast<Pack<float, kWide>*>(out + column), values);
    });
  });
}

template <int kN>
__global__ void __launch_bounds__(Shape<kN>::kThreads, kN == 8 ? 1 : 2)
    streams_backward(MhcOpenBackwardArgs a, MhcOpenBackwardCut cut) {
  using S = Shape<kN>;
  auto& s = *dynamic_shared<Shared<kN>>();
  const int64_t channel = int64_t{block_index().x} * S::kSlab;
  const int64_t begin = block_index().y * cut.split_tokens;
  const int64_t end = begin + cut.split_tokens < a.tokens ? begin + cut.split_tokens : a.tokens;
  copy_tile<kN>(a, begin, end, channel, s.tiles[0]);
  load_phi<kN>(a, channel, s);
  MmaD dphi[S::kTiles][S::kSteps] = {};
  int current = 0;
  for (int64_t t = begin; t < end; t += kMhcTile, current = 1 - current) {
    Tile<kN>& tile = s.tiles[current];
    copy_async_wait<0>();
    sync_block();  // this tile is there, and the other one's dx has been stored
    if (t + kMhcTile < end) copy_tile<kN>(a, t + kMhcTile, end, channel, s.tiles[1 - current]);
    add_outer<kN>(tile, dphi);
    sync_block();  // dx takes the place of x
    for (int i = 0; i < S::kPieces; ++i)
      make_dx<kN>(s, tile, int(thread() / kWarp) * S::kPieces + i);
    sync_block();
    store_dx<kN>(a, tile, t, end, channel);
  }
  const int64_t size = int64_t{kN} * a.width * S::kRow.columns;
  store_dphi<kN>(a, channel, a.workspace + cut.dphi + block_index().y * size, dphi);
}

constexpr unsigned kSumThreads = 256;

// dphi = base + Σ of the splits, in order.
__global__ void __launch_bounds__(kSumThreads)
    sum_splits(MhcOpenBackwardArgs a, MhcOpenBackwardCut cut, int64_t packs) {
  const int64_t i = int64_t{block_index().x} * kSumThreads + thread();
  if (i >= packs) return;
  const auto* parts = reinterpret_cast<const Floats*>(a.workspace + cut.dphi);
  Floats sum = {};
  for (unsigned split = 0; split < cut.splits; ++split) {
    const auto part = load<Cache::streaming>(parts + split * packs + i);
    for (int e = 0; e < 4; ++e) sum.v[e] += part.v[e];
  }
  if (a.dphi_base) {
    const auto base = load<Cache::streaming>(reinterpret_cast<const Floats*>(a.dphi_base) + i);
    for (int e = 0; e < 4; ++e) sum.v[e] += base.v[e];
  }
  store<Cache::streaming>(reinterpret_cast<Floats*>(a.dphi) + i, sum);
}

}  // namespace

void mhc_streams_backward(const MhcOpenBackwardArgs& a, cudaStream_t stream) {
  const MhcOpenBackwardCut cut = mhc_open_backward_cut(a.tokens, a.width, a.n);
  const auto run = [&]<int kN>(std::integral_constant<int, kN>) {
    launch("mhc_streams_backward", streams_backward<kN>,
           {.grid = {cut.slabs, cut.splits},
            .block = {Shape<kN>::kThreads},
            .shared_bytes = sizeof(Shared<kN>),
            .stream = stream},
           a, cut);
  };
  if (a.tokens > 0) with_streams(a.n, run);
  const int64_t packs = a.n * a.width * MhcRow(a.n).columns / 4;
  launch("mhc_sum_splits", sum_splits,
         {.grid = {unsigned((packs + kSumThreads - 1) / kSumThreads)},
          .block = {kSumThreads},
          .stream = stream},
         a, cut, packs);
}

void mhc_open_backward(const MhcOpenBackwardArgs& a, cudaStream_t stream) {
  require_rows("mhc_open_backward", a.n, a.width,
               {a.x, a.dh, a.dlink, a.dx, a.phi, a.dphi, a.workspace});
  if (a.dphi_base) require_rows("mhc_open_backward", a.n, a.width, {a.dphi_base});
  mhc_coefficients_backward(a, stream);
  mhc_streams_backward(a, stream);
}

}  // namespace birkhoff::cuda
