// (b) of the three passes. A warp reads the rows of a few tokens for dpre; then it does their
// coefficients side by side, a matrix entry a lane. Sinkhorn's iterates are made again from u and
// stay in shared memory: 2·n² floats a step, 5 KB a token at n = 4. What (c) needs leaves as one
// row a token (mhc_layout.h). Sums over tokens: a lane's, in token order; then warps, then blocks.
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/mhc_passes.h"
#include "kernels/cuda/sinkhorn_lanes.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = kMhcWarps * kWarp;
constexpr unsigned kParts = 6;  // of the blocks, whose sums are taken side by side

template <int kN>
struct Shape {
  static constexpr MhcRow kRow{kN};
  static constexpr int kColumns = kRow.columns, kGroup = mhc_group(kN);
  static constexpr int kHeld = (kColumns + int(kWarp) - 1) / int(kWarp);  // columns of a lane
  // Rows of the tokens of a warp apart by what lets all of its lanes read in one go.
  static constexpr int kStride = kN == 1 ? kRow.floats + 1 : kN == 2 ? kRow.stride : kRow.floats;
};

// Tokens of a warp. row: the gradients of pre, post and res, then of the logits, then of z, each in
// place; behind them what else (c) needs.
template <int kN>
struct Group {
  float rho[Shape<kN>::kGroup];
  float u[Shape<kN>::kGroup][Shape<kN>::kStride];
  float row[Shape<kN>::kGroup][Shape<kN>::kStride];
};

template <int kN>
struct Shared {
  Group<kN> groups[kMhcWarps];
  float alpha[3], b[Shape<kN>::kColumns];
  float sums[kMhcWarps][2][Shape<kN>::kColumns];  // dH~·u and dH~
};

template <int kN>
struct Sums {  // of a lane's columns
  float products[Shape<kN>::kHeld], gradients[Shape<kN>::kHeld];
};

// <dh, x_i> of token t.
template <int kN>
__device__ inline void channel_dots(const MhcOpenBackwardArgs& a, int64_t t, float (&dots)[kN]) {
  const int64_t packs = a.width / kPack;
  for (float& dot : dots) dot = 0;
  for (int64_t p = thread() % kWarp; p < packs; p += kWarp) {
    const auto dh = load<Cache::streaming>(reinterpret_cast<const Bf16s*>(a.dh) + t * packs + p);
    for (int i = 0; i < kN; ++i) {
      const auto x =
          load<Cache::streaming>(reinterpret_cast<const Bf16s*>(a.x) + (t * kN + i) * packs + p);
      for (int e = 0; e < kPack; ++e) dots[i] = fmaf(widen(dh.v[e]), widen(x.v[e]), dots[i]);
    }
  }
  for (float& dot : dots) dot = warp_sum(dot);
}

// The tokens behind `count` are zeros: their lanes do as the others.
template <int kN>
__device__ inline void load_group(const MhcOpenBackwardArgs& a, int64_t first, int count,
                                  Group<kN>& g) {
  using S = Shape<kN>;
  const int lane = int(thread() % kWarp);
  if (lane < S::kGroup) g.rho[lane] = lane < count ? load(a.rho + first + lane) : 0;
  for (int k = 0; k < S::kGroup; ++k) {
    const int64_t t = first + k;
    float dots[kN] = {};
    if (k < count) channel_dots<kN>(a, t, dots);
    for (int i = 0; i < kN; ++i)
      if (lane == i) g.row[k][i] = dots[i];
    for (int c = lane; c < S::kColumns; c += int(kWarp))
      g.u[k][c] = k < count ? load(a.u + t * S::kColumns + c) : 0;
    for (int i = lane; i < kN; i += int(kWarp))
      g.row[k][kN + i] = k < count ? load(a.dpost + t * kN + i) : 0;
    for (int e = lane; e < kN * kN; e += int(kWarp))
      g.row[k][2 * kN + e] = k < count ? load(a.dres + t * kN * kN + e) : 0;
  }
}

// pre = σ + e and post = 2σ of the logits; dσ = σ·(1 − σ).
template <int kN>
__device__ inline void gates_backward(const MhcOpenBackwardArgs& a, const Shared<kN>& s,
                                      Group<kN>& g) {
  using S = Shape<kN>;
  for (int i = int(thread() % kWarp); i < S::kGroup * 2 * kN; i += int(kWarp)) {
    const int k = i % S::kGroup, c = i / S::kGroup;
    const bool is_pre = c < kN;
    const float logit = fmaf(s.alpha[is_pre ? 0 : 1], g.u[k][c], s.b[c]);
    const float gate = 1 / (1 + expf(-logit)), d = g.row[k][c];
    g.row[k][c] = (is_pre ? d : 2 * d) * (gate * (1 - gate));
    if (is_pre) g.row[k][S::kRow.pre + c] = a.v4 ? gate + a.sinkhorn_eps : gate;
  }
}

template <int kN>
__device__ inline void matrices_backward(const Shared<kN>& s, Group<kN>& g,
                                         SinkhornLanes<kN>& sinkhorn) {
  using S = Shape<kN>;
  using L = SinkhornLanes<kN>;
  const unsigned lane = thread() % kWarp, k = lane / L::kLanes, e = lane % L::kLanes;
  float m[L::kHeld], d[L::kHeld];
  for (int h = 0; h < L::kHeld; ++h) {
    const unsigned c = 2 * kN + e + unsigned(h) * kWarp;
    m[h] = fmaf(s.alpha[2], g.u[k][c], s.b[c]);
    d[h] = g.row[k][c];
  }
  sinkhorn.forward(m);
  sinkhorn.backward(d);
  for (int h = 0; h < L::kHeld; ++h) {
    g.row[k][2 * kN + e + unsigned(h) * kWarp] = d[h];
    g.row[k][unsigned(S::kRow.res) + e + unsigned(h) * kWarp] = m[h];
  }
}

// H~ = alpha ⊙ u + b and z = u/rho of token k of the group, and its ds. Lanes come as a warp.
template <int kN>
__device__ inline void affine_backward(const MhcOpenBackwardArgs& a, const Shared<kN>& s,
                                       Group<kN>& g, int k, Sums<kN>& sums) {
  using S = Shape<kN>;
  const int lane = int(thread() % kWarp);
  const float rho = g.rho[k];
  float pull = 0;
  for (int h = 0; h < S::kHeld; ++h) {
    const int c = lane + h * int(kWarp);
    if (c >= S::kColumns) break;
    const float d = g.row[k][c], u = g.u[k][c];
    const float du = s.alpha[c < kN ? 0 : c < 2 * kN ? 1 : 2] * d;
    sums.products[h] = fmaf(d, u, sums.products[h]);
    sums.gradients[h] += d;
    pull = fmaf(-du, u, pull);
    g.row[k][c] = rho * du;
  }
  pull = warp_sum(pull);
  if (lane < S::kRow.padded - S::kColumns) g.row[k][S::kColumns + lane] = 0;
  if (lane < S::kRow.floats - S::kRow.pull)
    g.row[k][S::kRow.pull + lane] = lane == 0 ? pull * (rho * rho) / float(kN * a.width) : 0;
}

// Five blocks are what shared memory has room for at n = 4; without them ptxas aims at more, and
// spills.
template <int kN>
__global__ void __launch_bounds__(kThreads, 5)
    coefficients_backward(MhcOpenBackwardArgs a, MhcOpenBackwardCut cut) {
  using S = Shape<kN>;
  auto& s = *dynamic_shared<Shared<kN>>();  // and behind it each warp's trace
  const unsigned lane = thread() % kWarp, warp = thread() / kWarp;
  Group<kN>& g = s.groups[warp];
  float* const traces = reinterpret_cast<float*>(&s + 1);
  SinkhornLanes<kN> sinkhorn(
      traces + warp * unsigned(SinkhornLanes<kN>::trace_floats(a.iterations, a.v4)), a.iterations,
      a.v4, a.sinkhorn_eps);
  if (thread() < 3) s.alpha[thread()] = load<Cache::constant>(a.alpha + thread());
  if (thread() < S::kColumns) s.b[thread()] = load<Cache::constant>(a.b + thread());
  sync_block();
  Sums<kN> sums = {};
  const int64_t begin = block_index().x * cut.block_tokens;
  const int64_t end = begin + cut.block_tokens < a.tokens ? begin + cut.block_tokens : a.tokens;
  for (int64_t t = begin + warp * S::kGroup; t < end; t += kMhcWarps * S::kGroup) {
    const int count = int(end - t < S::kGroup ? end - t : S::kGroup);
    load_group<kN>(a, t, count, g);
    sync_warp(kFullMask);
    gates_backward<kN>(a, s, g);
    matrices_backward<kN>(s, g, sinkhorn);
    sync_warp(kFullMask);
    for (int k = 0; k < count; ++k) affine_backward<kN>(a, s, g, k, sums);
    sync_warp(kFullMask);
    for (int i = int(lane); i < count * S::kRow.floats; i += int(kWarp))
      store(a.workspace + t * S::kRow.floats + i, g.row[i / S::kRow.floats][i % S::kRow.floats]);
    sync_warp(kFullMask);
  }
  for (int h = 0; h < S::kHeld; ++h) {
    const int c = int(lane) + h * int(kWarp);
    if (c >= S::kColumns) break;
    s.sums[warp][0][c] = sums.products[h], s.sums[warp][1][c] = sums.gradients[h];
  }
  sync_block();
  for (int i = int(thread()); i < 2 * S::kColumns; i += int(kThreads)) {
    float sum = 0;
    for (const auto& of : s.sums) sum += of[i / S::kColumns][i % S::kColumns];
    store(a.workspace + cut.sums + int64_t{block_index().x} * 2 * S::kColumns + i, sum);
  }
}

struct Totals {
  double parts[kParts][2 * MhcRow(8).columns];
};

// dalpha and db of the blocks' sums, by one block of [2·K, kParts] threads.
__global__ void __launch_bounds__(kMaxThreads)
    total_sums(MhcOpenBackwardArgs a, MhcOpenBackwardCut cut) {
  auto& s = shared<Totals>();
  const unsigned columns = block_dim().x / 2, k = thread_index().x, part = thread_index().y;
  const unsigned each = (cut.blocks + kParts - 1) / kParts;
  double sum = 0;
  for (unsigned i = part * each; i < (part + 1) * each && i < cut.blocks; ++i)
    sum += double(load(a.workspace + cut.sums + int64_t{i} * block_dim().x + k));
  s.parts[part][k] = sum;
  sync_block();
  if (part != 0) return;
  const auto total = [&](unsigned column) {
    double all = 0;
    for (const auto& of : s.parts) all += of[column];
    return all;
  };
  const auto put = [&](const float* base, float* out, unsigned i, double value) {
    store(out + i, float(base ? double(load(base + i)) + value : value));
  };
  if (k >= columns) return put(a.db_base, a.db, k - columns, total(k));
  if (k >= 3) return;
  const auto n = unsigned(a.n), first = k * n;  // pre, post, res: columns 0, n and 2n on
  double all = 0;
  for (unsigned c = first; c < (k < 2 ? first + n : columns); ++c) all += total(c);
  put(a.dalpha_base, a.dalpha, k, all);
}

}  // namespace

void mhc_coefficients_backward(const MhcOpenBackwardArgs& a, cudaStream_t stream) {
  const MhcOpenBackwardCut cut = mhc_open_backward_cut(a.tokens, a.width, a.n);
  const auto run = [&]<int kN>(std::integral_constant<int, kN>) {
    const int trace = SinkhornLanes<kN>::trace_floats(a.iterations, a.v4);
    launch("mhc_coefficients_backward", coefficients_backward<kN>,
           {.grid = {cut.blocks},
            .block = {kThreads},
            .shared_bytes = sizeof(Shared<kN>) + kMhcWarps * size_t(trace) * sizeof(float),
            .stream = stream},
           a, cut);
  };
  if (a.tokens > 0) with_streams(a.n, run);
  launch("mhc_total_sums", total_sums,
         {.grid = {1}, .block = {2 * unsigned(MhcRow(a.n).columns), kParts}, .stream = stream}, a,
         cut);
}

}  // namespace birkhoff::cuda
