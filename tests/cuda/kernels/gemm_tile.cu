#include "tests/cuda/kernels/gemm_tile.h"

#include "kernels/cuda/device/device.h"

namespace birkhoff::testing {
namespace {

using namespace cuda;

constexpr int kTile = 64, kDepth = 32, kThreads = 128;
constexpr int kChunk = 8;               // elements in 16 bytes
constexpr int kRows = 2, kColumns = 4;  // mma tiles per warp: 32×32 of C

struct Shared {
  // Against bank conflicts, the chunks of A's 64-byte rows are swizzled, so that 8 rows of a column
  // of chunks lie in different banks, and B's rows are padded by a chunk.
  alignas(16) bf16 a[2][kTile][kDepth];
  alignas(16) bf16 b[2][kDepth][kTile + kChunk];
};

__device__ inline int swapped(int row, int chunk) { return (chunk ^ (row >> 1 & 3)) * kChunk; }

__device__ inline void copy_tile(Shared& s, const GemmTile& g, int buffer, int tile) {
  const int row0 = int(block_index().y) * kTile, column0 = int(block_index().x) * kTile;
  constexpr int kChunksA = kDepth / kChunk, kChunksB = kTile / kChunk;
  for (int i = int(thread()); i < kTile * kChunksA; i += kThreads) {
    const int row = i / kChunksA, chunk = i % kChunksA;
    copy_async(&s.a[buffer][row][swapped(row, chunk)],
               g.a + int64_t(row0 + row) * g.k + tile * kDepth + chunk * kChunk);
  }
  for (int i = int(thread()); i < kDepth * kChunksB; i += kThreads) {
    const int row = i / kChunksB, chunk = i % kChunksB;
    copy_async(&s.b[buffer][row][chunk * kChunk],
               g.b + int64_t(tile * kDepth + row) * g.n + column0 + chunk * kChunk);
  }
  copy_async_commit();
}

// d += the warp's 32×16 of A · 16×32 of B.
__device__ inline void multiply(const Shared& s, int buffer, int k, MmaD (&d)[kRows][kColumns]) {
  const int lane = int(thread() % kWarp), warp = int(thread() / kWarp);
  const int row0 = warp % 2 * 32, column0 = warp / 2 * 32;
  MmaA a[kRows];
  uint32_t b[kColumns / 2][4];
  for (int i = 0; i < kRows; ++i) {
    const int row = row0 + i * 16 + lane % 16;
    ldmatrix_x4(a[i].r, &s.a[buffer][row][swapped(row, k / kChunk + lane / 16)]);
  }
  for (int j = 0; j < kColumns / 2; ++j)
    ldmatrix_x4_transposed(b[j],
                           &s.b[buffer][k + lane % 16][column0 + j * 16 + lane / 16 * kChunk]);
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kColumns; ++j)
      mma_bf16(d[i][j], a[i], {{b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]}});
}

__device__ inline void store_tile(const GemmTile& g, const MmaD (&d)[kRows][kColumns]) {
  const int lane = int(thread() % kWarp), warp = int(thread() / kWarp);
  const int row0 = int(block_index().y) * kTile + warp % 2 * 32 + lane / 4;
  const int column0 = int(block_index().x) * kTile + warp / 2 * 32 + lane % 4 * 2;
  using Pair = Pack<float, 2>;
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kColumns; ++j)
      for (int half = 0; half < 2; ++half) {
        float* c = g.c + int64_t(row0 + i * 16 + half * 8) * g.n + column0 + j * 8;
        store(reinterpret_cast<Pair*>(c), {{d[i][j].v[2 * half], d[i][j].v[2 * half + 1]}});
      }
}

template <GemmFault kFault>
__global__ void __launch_bounds__(kThreads) gemm_tile(GemmTile g) {
  auto& s = shared<Shared>();
  MmaD d[kRows][kColumns] = {};
  const int tiles = g.k / kDepth;
  copy_tile(s, g, 0, 0);
  for (int tile = 0; tile < tiles; ++tile) {
    const bool more = tile + 1 < tiles;
    if (more) copy_tile(s, g, (tile + 1) % 2, tile + 1);
    if (more || kFault == GemmFault::wrong_wait)
      copy_async_wait<1>();
    else
      copy_async_wait<0>();
    sync_block();
    for (int k = 0; k < kDepth; k += 16) multiply(s, tile % 2, k, d);
    if (kFault != GemmFault::no_barrier) sync_block();
  }
  store_tile(g, d);
}

}  // namespace

void run_gemm_tile(const GemmTile& g, GemmFault fault, cudaStream_t stream) {
  const Launch how{.grid = {unsigned(g.n / kTile), unsigned(g.m / kTile)},
                   .block = {kThreads},
                   .stream = stream};
  switch (fault) {
    case GemmFault::none:
      return launch("gemm_tile", gemm_tile<GemmFault::none>, how, g);
    case GemmFault::no_barrier:
      return launch("gemm_tile", gemm_tile<GemmFault::no_barrier>, how, g);
    case GemmFault::wrong_wait:
      return launch("gemm_tile", gemm_tile<GemmFault::wrong_wait>, how, g);
  }
}

}  // namespace birkhoff::testing
