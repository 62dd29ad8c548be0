// A row stays in registers between its two passes, so x is read once; a block takes several rows,
// so gain is read once for all of them. All accesses of x, gain and y are 16 bytes wide. Ragged
// rows (a width that is not a multiple of 8, or an address that is not a multiple of 16) and rows
// too wide for registers are processed element by element.
#include "kernels/cuda/rms_norm.h"

#include <algorithm>

#include "kernels/cuda/channels.h"
#include "kernels/cuda/warp_sum.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 256;
// Up to four blocks for each of 132 multiprocessors; with more rows, a block takes more. With at
// least 2 rows per block, gain adds at most half of what x and y move.
constexpr int64_t kBlocks = 4 * 132, kLeastRows = 2, kMostRows = 16;

struct Shared {
  // Double-buffered by row parity, so slow threads can still read row i while others write row
  // i + 1.
  float sums[2][kThreads / kWarp];
};

__device__ inline float row_rstd(const RmsNormArgs& a, float squares, float* sums) {
  return fast_rsqrt(block_sum(squares, sums) / float(a.width) + a.eps);
}

__device__ inline void store_rstd(const RmsNormArgs& a, int64_t row, float rstd) {
  if (a.rstd && thread() == 0)
    store(a.rstd + row, a.rstd_base ? load(a.rstd_base + row) + rstd : rstd);
}

template <int kPacks>
__device__ inline float load_row(const RmsNormArgs& a, int64_t row, Channels (&x)[kPacks]) {
  float squares = 0;
  for (int p = 0; p < kPacks; ++p) {
    const int64_t i = thread() + int64_t{p} * block_dim().x;
    if (i >= a.width / kChannels) break;
    x[p] = load_channels(a.x + row * a.width + i * kChannels);
    for (int e = 0; e < kChannels; ++e) {
      const float value = channel(x[p], e);
      squares = fmaf(value, value, squares);
    }
  }
  return squares;
}

// y = base + gain ⊙ x·rstd for one pack.
__device__ inline void store_pack(const RmsNormArgs& a, int64_t at, const Channels& x,
                                  const Floats (&gain)[2], float rstd) {
  const Channels base = a.base ? load_channels(a.base + at) : Channels{};
  float y[kChannels];
  for (int e = 0; e < kChannels; ++e)
    y[e] = fmaf(channel(x, e) * rstd, gain[e / 4].v[e % 4], a.base ? channel(base, e) : 0.0f);
  store_channels(a.y + at, rounded(y));
}

template <int kPacks>
__global__ void __launch_bounds__(kThreads) rms_norm_rows(RmsNormArgs a, int64_t rows) {
  auto& s = shared<Shared>();
  Floats gain[kPacks][2] = {};
  for (int p = 0; p < kPacks; ++p) {
    const int64_t i = thread() + int64_t{p} * block_dim().x;
    if (i >= a.width / kChannels) break;
    for (int half = 0; half < 2; ++half)
      gain[p][half] = load<Cache::constant>(reinterpret_cast<const Floats*>(a.gain) + 2 * i + half);
  }
  const int64_t first = block_index().x * rows;
  for (int64_t row = first; row < first + rows && row < a.tokens; ++row) {
    Channels x[kPacks] = {};
    const float squares = load_row(a, row, x);
    const float rstd = row_rstd(a, squares, s.sums[(row - first) % 2]);
    store_rstd(a, row, rstd);
    if (!a.y) continue;
    for (int p = 0; p < kPacks; ++p) {
      const int64_t i = thread() + int64_t{p} * block_dim().x;
      if (i >= a.width / kChannels) break;
      store_pack(a, row * a.width + i * kChannels, x[p], gain[p], rstd);
    }
  }
}

__global__ void __launch_bounds__(kThreads) rms_norm_elements(RmsNormArgs a, int64_t rows) {
  auto& s = shared<Shared>();
  const int64_t first = block_index().x * rows;
  for (int64_t row = first; row < first + rows && row < a.tokens; ++row) {
    float squares = 0;
    for (int64_t c = thread(); c < a.width; c += block_dim().x) {
      const float value = widen(load(a.x + row * a.width + c));
      squares = fmaf(value, value, squares);
    }
    const float rstd = row_rstd(a, squares, s.sums[(row - first) % 2]);
    store_rstd(a, row, rstd);
    if (!a.y) continue;
    for (int64_t c = thread(); c < a.width; c += block_dim().x) {
      const int64_t at = row * a.width + c;
      const float base = a.base ? widen(load(a.base + at)) : 0.0f;
      store(a.y + at, round_bf16(fmaf(widen(load(a.x + at)) * rstd,
                                      load<Cache::constant>(a.gain + c), base)));
    }
  }
}

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

}  // namespace

RmsNormCut rms_norm_cut(const RmsNormArgs& a) {
  RmsNormCut cut;
  const bool vectors = a.width % kChannels == 0 && aligned(a.x) && aligned(a.gain) &&
                       aligned(a.base) && aligned(a.y);
  const int64_t units = vectors ? a.width / kChannels : a.width;
  cut.threads = unsigned(std::min<int64_t>(kThreads, (units + kWarp - 1) / kWarp * kWarp));
  for (const int packs : {4, 2, 1})
    if (vectors && units <= packs * int64_t{cut.threads}) cut.packs = packs;
  cut.rows = std::clamp(a.tokens / kBlocks, kLeastRows, kMostRows);
  cut.blocks = unsigned((a.tokens + cut.rows - 1) / cut.rows);
  return cut;
}

void rms_norm(const RmsNormArgs& a, cudaStream_t stream) {
  if (a.tokens == 0) return;
  const RmsNormCut cut = rms_norm_cut(a);
  const auto kernel = cut.packs == 1   ? rms_norm_rows<1>
                      : cut.packs == 2 ? rms_norm_rows<2>
                      : cut.packs == 4 ? rms_norm_rows<4>
                                       : rms_norm_elements;
  launch("rms_norm", kernel, {.grid = {cut.blocks}, .block = {cut.threads}, .stream = stream}, a,
         cut.rows);
}

}  // namespace birkhoff::cuda
