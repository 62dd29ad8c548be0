// The square of an f32 is an integer below 2^48 times a power of two: three digits of 32 bits, in
// limbs that the exponent alone determines (base/exact_sum.h). Each thread has its own column of
// limbs in shared memory, so adds need not be atomic, and a lane keeps to its own banks whatever
// the limb. That takes 12 shared-memory wavefronts per 128 bytes of g, which about keeps pace with
// memory. Then the threads of a block, and the blocks, are added up and carries propagated.
#include "kernels/cuda/norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/flat.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 128, kParts = 16;
constexpr int kLimbs = kNormLimbs - 1;
constexpr int kPoint = 16 * kLimbs;  // bits below the binary point
constexpr uint64_t kDigit = 0xFFFFFFFF;
constexpr int64_t kBlocks = 8 * 132;  // most blocks: eight for each of 132 multiprocessors

struct Shared {
  int64_t limbs[kNormLimbs][kThreads];
  int64_t sums[kNormLimbs];
};

__device__ inline void add_square(Shared& s, float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t exponent = bits >> 23 & 0xFF, fraction = bits & 0x7FFFFF;
  if (exponent == 0xFF) {
    ++s.limbs[kLimbs][thread()];
    return;
  }
  // |x| = m·2^(e − 150) with e ≥ 1; its square starts at an even bit, 22 or above.
  const uint64_t m = exponent == 0 ? fraction : fraction | 0x800000;
  const int bit = 2 * (int(exponent == 0 ? 1 : exponent) - 150) + kPoint;
  const uint64_t square = m * m, low = square << (bit & 31);
  const uint64_t high = (bit & 31) == 0 ? 0 : square >> (64 - (bit & 31));
  int64_t(*limb)[kThreads] = s.limbs + (bit >> 5);
  limb[0][thread()] += int64_t(low & kDigit);
  limb[1][thread()] += int64_t(low >> 32);
  limb[2][thread()] += int64_t(high);
}

// Propagates carries so that digits are in [0, 2^32). Called by one thread.
__device__ inline void carry(int64_t (&limbs)[kNormLimbs]) {
  for (int k = 0; k + 1 < kLimbs; ++k) {
    limbs[k + 1] += limbs[k] >> 32;
    limbs[k] = int64_t(uint64_t(limbs[k]) & kDigit);
  }
}

__global__ void __launch_bounds__(kThreads) squares(SquaredSumArgs a) {
  auto& s = shared<Shared>();
  for (auto& limb : s.limbs) limb[thread()] = 0;
  const int64_t packs = a.count / 4, step = int64_t{grid_dim().x} * kThreads;
  const int64_t first = int64_t{block_index().x} * kThreads + thread();
  for (int64_t i = first; i < packs; i += step) {
    const auto g = load<Cache::streaming>(reinterpret_cast<const Pack<float, 4>*>(a.g) + i);
    for (const float x : g.v) add_square(s, x);
  }
  if (packs * 4 + first < a.count) add_square(s, load(a.g + packs * 4 + first));
  sync_block();
  for (unsigned k = thread() / kWarp; k < kNormLimbs; k += kThreads / kWarp) {
    int64_t sum = 0;
    for (unsigned t = thread() % kWarp; t < kThreads; t += kWarp) sum += s.limbs[k][t];
    for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2)
      sum += shuffle_xor(kFullMask, sum, lanes);
    if (thread() % kWarp == 0) s.sums[k] = sum;
  }
  sync_block();
  if (thread() == 0) carry(s.sums);
  sync_block();
  if (thread() < kNormLimbs)
    store(a.workspace + int64_t{block_index().x} * kNormLimbs + thread(), s.sums[thread()]);
}

struct Totals {
  int64_t parts[kParts][kNormLimbs];
  int64_t sums[kNormLimbs];
};

// Runs as one block of [kNormLimbs, kParts] threads.
__global__ void __launch_bounds__(kMaxThreads) add_blocks(SquaredSumArgs a, unsigned blocks) {
  auto& s = shared<Totals>();
  const unsigned k = thread_index().x, part = thread_index().y;
  int64_t sum = 0;
  for (unsigned i = part; i < blocks; i += kParts)
    sum += load(a.workspace + int64_t{i} * kNormLimbs + k);
  s.parts[part][k] = sum;
  sync_block();
  if (part == 0) {
    sum = 0;
    for (const auto& of : s.parts) sum += of[k];
    s.sums[k] = sum;
  }
  sync_block();
  if (thread() == 0) carry(s.sums);
  sync_block();
  if (part == 0) store(a.acc + k, a.base ? load(a.base + k) + s.sums[k] : s.sums[k]);
}

// The value of canonical limbs ≥ 0, rounded to the nearest double, ties to even. Sums of squares
// are far from the denormal and overflow ranges of double.
__device__ inline double value(const int64_t (&limbs)[kNormLimbs]) {
  int top = kLimbs - 1;
  while (top > 2 && limbs[top] == 0) --top;
  const auto limb = [&](int k) { return uint64_t(limbs[k]); };
  uint64_t high = limb(top) << 32 | limb(top - 1), low = limb(top - 2) << 32;
  int shift = 0;
  if (high == 0 && low == 0) return 0;
  for (; high >> 63 == 0; ++shift) high = high << 1 | low >> 63, low <<= 1;
  bool below = low != 0;
  for (int k = 0; k < top - 2; ++k) below = below || limbs[k] != 0;
  uint64_t kept = high >> 11;
  const uint64_t rest = high & 0x7FF;
  if (rest > 0x400 || (rest == 0x400 && (below || (kept & 1)))) ++kept;
  return ldexp(double(kept), 32 * (top - 1) - kPoint + 11 - shift);
}

struct Clip {
  int64_t limbs[kNormLimbs];
};

__global__ void __launch_bounds__(kWarp) clip(ClipScaleArgs a) {
  auto& s = shared<Clip>();
  if (thread() < kNormLimbs) s.limbs[thread()] = load(a.acc + thread());
  sync_block();
  if (thread() != 0) return;
  carry(s.limbs);  // limbs added over several tensors are not canonical
  double norm = sqrt(value(s.limbs)), scale = 1;
  if (s.limbs[kLimbs] != 0)
    norm = scale = nan("");
  else if (a.max_norm > 0 && norm > a.max_norm)
    scale = a.max_norm / norm;
  store(a.scale, float(scale));
  store(a.norm, norm);
}

}  // namespace

unsigned squared_sum_blocks(int64_t count) {
  return unsigned(std::clamp<int64_t>((count + 4 * kThreads - 1) / (4 * kThreads), 1, kBlocks));
}

void squared_sum(const SquaredSumArgs& a, cudaStream_t stream) {
  require_aligned("squared_sum", {a.g});
  const unsigned blocks = squared_sum_blocks(a.count);
  launch("squared_sum", squares, {.grid = {blocks}, .block = {kThreads}, .stream = stream}, a);
  launch("squared_sum_blocks", add_blocks,
         {.grid = {1}, .block = {unsigned(kNormLimbs), kParts}, .stream = stream}, a, blocks);
}

void clip_scale(const ClipScaleArgs& a, cudaStream_t stream) {
  launch("clip_scale", clip, {.grid = {1}, .block = {kWarp}, .stream = stream}, a);
}

}  // namespace birkhoff::cuda
