#include "tests/cuda/kernels/words.h"

#include "kernels/cuda/device/device.h"

namespace birkhoff::testing {
namespace {

using namespace cuda;

__global__ void exchanges(float* out, unsigned* votes) {
  const unsigned lane = thread();
  const float mine = float(lane * lane);
  const bool odd = lane % 2 == 1;
  store(out + lane, shuffle(kFullMask, mine, 31 - lane));
  store(out + kWarp + lane, shuffle_xor(kFullMask, mine, 5));
  store(out + 2 * kWarp + lane, shuffle_up(kFullMask, mine, 3));
  store(out + 3 * kWarp + lane, shuffle_down(kFullMask, mine, 3));
  store(votes + lane, ballot(kFullMask, odd));
  store(votes + kWarp + lane, unsigned(any(kFullMask, lane == 7)));
  store(votes + 2 * kWarp + lane, unsigned(all(kFullMask, lane != 7)));
}

__global__ void half_warp_sums(float* out) {
  const unsigned lane = thread(), mask = lane < 16 ? 0x0000FFFFu : 0xFFFF0000u;
  float sum = float(lane);
  // The halves call it at the same source line, with different masks, in any order.
  for (unsigned x = 8; x > 0; x /= 2) sum += shuffle_xor(mask, sum, x);
  store(out + lane, sum);
}

struct ReverseShared {
  float values[kMaxThreads];
};
__global__ void reverse(const float* in, float* out, int n) {
  auto& s = shared<ReverseShared>();
  const int i = int(thread());
  s.values[i] = load(in + i);
  sync_block();
  store(out + i, s.values[n - 1 - i]);
}

struct MatrixShared {
  alignas(16) uint16_t rows[32][8];
};
template <bool kTransposed>
__global__ void read_matrices(const uint16_t* in, uint32_t* out) {
  auto& s = shared<MatrixShared>();
  const unsigned lane = thread();
  for (unsigned i = 0; i < 8; ++i) s.rows[lane][i] = load(in + lane * 8 + i);
  sync_warp(kFullMask);
  uint32_t r[4];
  if constexpr (kTransposed)
    ldmatrix_x4_transposed(r, s.rows[lane]);
  else
    ldmatrix_x4(r, s.rows[lane]);
  for (unsigned i = 0; i < 4; ++i) store(out + 4 * lane + i, r[i]);
}

template <bool kTf32>
__global__ void multiply(const MmaA* a, const MmaB* b, MmaD* d) {
  const unsigned lane = thread();
  MmaA my_a;
  MmaB my_b;
  MmaD my_d;
  for (int i = 0; i < 4; ++i) my_a.r[i] = load(&a[lane].r[i]), my_d.v[i] = load(&d[lane].v[i]);
  for (int i = 0; i < 2; ++i) my_b.r[i] = load(&b[lane].r[i]);
  if constexpr (kTf32)
    mma_tf32(my_d, my_a, my_b);
  else
    mma_bf16(my_d, my_a, my_b);
  for (int i = 0; i < 4; ++i) store(&d[lane].v[i], my_d.v[i]);
}

union FloatBits {
  uint32_t bits;
  float value;
};
__global__ void functions(const float* in, float* out, int n) {
  const int i = int(block_index().x * block_dim().x + thread());
  if (i >= n) return;
  const float x = load<Cache::streaming>(in + i);
  FloatBits tf32;
  tf32.bits = to_tf32(x);
  const float results[kFunctions] = {widen(round_bf16(x)), tf32.value, fast_exp(x), fast_rsqrt(x),
                                     fast_divide(1.0f, x)};
  for (int f = 0; f < kFunctions; ++f) store<Cache::streaming>(out + f * n + i, results[f]);
}

constexpr int kChunk = 16, kGroups = 3, kCopyThreads = 32;
struct CopyShared {
  alignas(16) Pack<uint32_t, 4> chunks[kGroups][kCopyThreads];
};
template <int kGroup>
__device__ void copy_out(CopyShared& s, void* out, int n) {
  copy_async_wait<kGroups - 1 - kGroup>();
  sync_block();
  // Each thread writes a chunk that another one copied.
  const int from = int(thread()) ^ 1, chunk = kGroup * kCopyThreads + from;
  if (chunk * kChunk < n)
    store(static_cast<Pack<uint32_t, 4>*>(out) + chunk, s.chunks[kGroup][from]);
}
__global__ void copies(const void* in, void* out, int n) {
  auto& s = shared<CopyShared>();
  for (int group = 0; group < kGroups; ++group) {
    const int chunk = group * kCopyThreads + int(thread()), left = n - chunk * kChunk;
    if (left > 0)
      copy_async(&s.chunks[group][thread()], static_cast<const char*>(in) + chunk * kChunk,
                 left < kChunk ? left : kChunk);
    copy_async_commit();
  }
  copy_out<0>(s, out, n);
  copy_out<1>(s, out, n);
  copy_out<2>(s, out, n);
}

struct Declared {
  float v[1024];
};

__global__ void add_memories(float* out, int added) {
  auto& declared = shared<Declared>();
  float* const more = dynamic_shared<float>();
  for (int i = int(thread()); i < 1024; i += int(block_dim().x)) declared.v[i] = float(2 * i);
  for (int i = int(thread()); i < added; i += int(block_dim().x)) more[i] = float(i);
  sync_block();
  const int i = int(thread());
  store(out + i, more[added - 1 - i] - declared.v[1023 - i]);
}

__global__ void increment(float* p, int n) {
  const int i = int(block_index().x * block_dim().x + thread());
  if (i < n) store(p + i, load(p + i) + 1);
}

Launch one_warp(cudaStream_t stream) { return {.grid = {1}, .block = {kWarp}, .stream = stream}; }

}  // namespace

void run_exchanges(float* out, unsigned* votes, cudaStream_t stream) {
  launch("exchanges", exchanges, one_warp(stream), out, votes);
}
void run_half_warp_sums(float* out, cudaStream_t stream) {
  launch("half_warp_sums", half_warp_sums, one_warp(stream), out);
}
void run_reverse(const float* in, float* out, int n, cudaStream_t stream) {
  launch("reverse", reverse, {.grid = {1}, .block = {unsigned(n)}, .stream = stream}, in, out, n);
}
void run_shared(float* out, size_t added, cudaStream_t stream) {
  launch("add_memories", add_memories,
         {.grid = {1}, .block = {64}, .shared_bytes = added, .stream = stream}, out,
         int(added / sizeof(float)));
}
void run_ldmatrix(const uint16_t* in, uint32_t* out, bool transposed, cudaStream_t stream) {
  launch("read_matrices", transposed ? read_matrices<true> : read_matrices<false>, one_warp(stream),
         in, out);
}
void run_mma_bf16(const MmaA* a, const MmaB* b, MmaD* d, cudaStream_t stream) {
  launch("multiply_bf16", multiply<false>, one_warp(stream), a, b, d);
}
void run_mma_tf32(const MmaA* a, const MmaB* b, MmaD* d, cudaStream_t stream) {
  launch("multiply_tf32", multiply<true>, one_warp(stream), a, b, d);
}
void run_functions(const float* in, float* out, int n, cudaStream_t stream) {
  const unsigned blocks = unsigned(n + 63) / 64;
  launch("functions", functions, {.grid = {blocks}, .block = {64}, .stream = stream}, in, out, n);
}
void run_copy_async(const void* in, void* out, int n, cudaStream_t stream) {
  launch("copies", copies, {.grid = {1}, .block = {kCopyThreads}, .stream = stream}, in, out, n);
}
void run_increment(float* p, int n, cudaStream_t stream) {
  const unsigned blocks = unsigned(n + 63) / 64;
  launch("increment", increment, {.grid = {blocks}, .block = {64}, .stream = stream}, p, n);
}

}  // namespace birkhoff::testing
