// ldmatrix and mma.sync, each executed once, by the last lane to arrive. Which lane holds which
// elements is checked against tests/cuda/layouts.h, which is written from the PTX text.
#include <bit>
#include <cstring>

#include "base/format.h"
#include "tests/cuda/emulator/cluster.h"
#include "tests/cuda/emulator/shared_memory.h"

namespace birkhoff::cuda::emulated {
namespace {

using emulator::cluster;
using emulator::observer;
using emulator::shared_memory;

struct MatrixRows {
  const std::byte* row;  // of 8 elements, 16 bytes
  uint32_t* r;
};

uint32_t element(const MatrixRows& rows, int i) {
  uint16_t bits;
  std::memcpy(&bits, rows.row + size_t(i) * sizeof bits, sizeof bits);
  return bits;
}

// Lane l gets elements 2·(l%4) and 2·(l%4) + 1 of row l/4, or, transposed, of column l/4.
template <bool kTransposed>
void distribute(void* const* arguments, unsigned) {
  const auto of = [&](int lane) -> const MatrixRows& {
    return *static_cast<MatrixRows*>(arguments[lane]);
  };
  for (int m = 0; m < 4; ++m)
    for (int lane = 0; lane < int(kWarp); ++lane) {
      const int line = lane / 4, first = lane % 4 * 2;
      uint32_t low, high;
      if (kTransposed)
        low = element(of(8 * m + first), line), high = element(of(8 * m + first + 1), line);
      else
        low = element(of(8 * m + line), first), high = element(of(8 * m + line), first + 1);
      of(lane).r[m] = low | high << 16;
    }
}

struct Fragments {
  MmaD* d;
  const MmaA* a;
  const MmaB* b;
};

// d += a·b for dense matrices; products are summed in f32, in the order of k.
template <int kDepth>
struct Tile {
  float a[16][kDepth], b[kDepth][8];

  void multiply(void* const* arguments) const {
    for (int lane = 0; lane < int(kWarp); ++lane)
      for (int i = 0; i < 4; ++i) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        float& d = static_cast<const Fragments*>(arguments[lane])->d->v[i];
        for (int k = 0; k < kDepth; ++k) d += a[row][k] * b[k][column];
      }
  }
};

void multiply_bf16(void* const* arguments, unsigned) {
  Tile<16> tile;
  const auto half = [](uint32_t pair, int h) { return to_float(bf16{uint16_t(pair >> 16 * h)}); };
  for (int lane = 0; lane < int(kWarp); ++lane) {
    const auto& f = *static_cast<const Fragments*>(arguments[lane]);
    const int group = lane / 4, pair = lane % 4 * 2;
    for (int h = 0; h < 2; ++h) {
      for (int i = 0; i < 4; ++i)
        tile.a[group + i % 2 * 8][pair + h + i / 2 * 8] = half(f.a->r[i], h);
      for (int i = 0; i < 2; ++i) tile.b[pair + h + i * 8][group] = half(f.b->r[i], h);
    }
  }
  tile.multiply(arguments);
}

// The multiplier uses only the upper 19 bits of a factor.
float as_tf32(uint32_t bits) { return std::bit_cast<float>(bits & ~0x1FFFu); }

void multiply_tf32(void* const* arguments, unsigned) {
  Tile<8> tile;
  for (int lane = 0; lane < int(kWarp); ++lane) {
    const auto& f = *static_cast<const Fragments*>(arguments[lane]);
    const int group = lane / 4, k = lane % 4;
    for (int i = 0; i < 4; ++i) tile.a[group + i % 2 * 8][k + i / 2 * 4] = as_tf32(f.a->r[i]);
    for (int i = 0; i < 2; ++i) tile.b[k + i * 4][group] = as_tf32(f.b->r[i]);
  }
  tile.multiply(arguments);
}

}  // namespace

void ldmatrix_x4(uint32_t* r, const void* row, bool transposed, Where where) {
  const char* name = transposed ? "ldmatrix_x4_transposed" : "ldmatrix_x4";
  if (!shared_memory().has(row) || !shared_memory().allocated(row, 16) ||
      shared_memory().rank(row) != cluster().current().rank)
    cluster().fail(fmt::format("{}: the row is not in the block's shared memory", name), where);
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
    cluster().fail(fmt::format("{}: the row is not aligned to 16 bytes", name), where);
  if (observer()) observer()->access({row, 16, false, {.where = where}});
  MatrixRows mine{static_cast<const std::byte*>(row), r};
  collective({name, kFullMask, transposed ? distribute<true> : distribute<false>}, &mine, where);
}

void mma_bf16(MmaD& d, const MmaA& a, const MmaB& b, Where where) {
  Fragments mine{&d, &a, &b};
  collective({"mma_bf16", kFullMask, multiply_bf16}, &mine, where);
}

void mma_tf32(MmaD& d, const MmaA& a, const MmaB& b, Where where) {
  Fragments mine{&d, &a, &b};
  collective({"mma_tf32", kFullMask, multiply_tf32}, &mine, where);
}

}  // namespace birkhoff::cuda::emulated
