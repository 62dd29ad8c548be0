// Products of bf16 factors with a register tile of 8 × 48. A panel of 48 columns of op(B) is packed
// in pairs along k just before it is used, and stays in L2. Rows of A are read in place, by
// broadcasting a pair, unless A is transposed or f32, in which case they are packed as well.
#include "kernels/cpu/matmul.h"

#include <algorithm>

#include "kernels/cpu/avx512_bf16/pack-inl.h"
#include "kernels/cpu/routines.h"
// must come last: it sets the instruction set of the code after it.

namespace birkhoff::cpu::avx512_bf16 {
namespace {

constexpr int kStripRows = 8;

// A strip of rows within one chunk; pair t of row r is at data + r·row + t·step.
struct Strip {
  const bf16* data;
  int64_t row, step;
};

// The destination of a tile's sums: c = from + sum; `from` may be null or c.
template <class T>
struct Target {
  const T* from;
  T* c;
  int64_t stride;
  int64_t columns;  // Columns that exist.

  BIRKHOFF_INLINE Target at(int64_t i, int64_t j, int64_t count) const {
    const int64_t there = i * stride + j;
    return {from ? from + there : nullptr, c + there, stride, count};
  }
};

// The element after the last whole pair, paired with 0.
BIRKHOFF_INLINE __m512i half_pair(const bf16* x) { return _mm512_set1_epi32(x->bits); }

// Sets the first `count` elements of a vector.
template <class T>
BIRKHOFF_INLINE void set_first(V value, int64_t count, const T* from, T* c) {
  const __mmask16 lanes = first(count);
  store(from ? _mm512_add_ps(load(from, lanes), value) : value, c, lanes);
}

template <int kR, int kV, class T>
BIRKHOFF_INLINE void multiply(Strip a, const uint32_t* panel, int64_t depth, Target<T> t) {
  V sum[kR][kV];
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) sum[r][v] = zero();
    // Prefetches the row of C, which is needed at the end.
    _mm_prefetch(reinterpret_cast<const char*>(t.c + r * t.stride), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(t.c + r * t.stride + 32), _MM_HINT_T0);
  }
  const int64_t pairs = depth / 2;
  dot_tile<kR, kV>(sum, a.data, a.row, a.step, panel, pairs);
  if (depth % 2 != 0) {
    const uint32_t* b = panel + pairs * kV * kLanes;
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < kV; ++v)
        sum[r][v] = dot(sum[r][v], half_pair(a.data + r * a.row + pairs * a.step),
                        _mm512_loadu_si512(b + v * kLanes));
  }
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) {
      const int64_t i = r * t.stride + v * kLanes, there = t.columns - v * kLanes;
      if (there >= kLanes)
        store(t.from ? _mm512_add_ps(load(t.from + i), sum[r][v]) : sum[r][v], t.c + i);
      else
        set_first(sum[r][v], there, t.from ? t.from + i : nullptr, t.c + i);
    }
}

// Multiplies all rows by a panel: strips of 8 rows first, then 4, 2 and 1. `next` is the distance
// between the strips of a.
template <int kR, int kV, class T>
BIRKHOFF_INLINE void strips(Strip& a, int64_t next, const uint32_t* panel, int64_t depth,
                            Target<T>& t, int64_t& rows) {
  for (; rows >= kR; rows -= kR) {
    multiply<kR, kV>(a, panel, depth, t);
    a.data += kR == kStripRows ? next : kR * a.row;
    t = t.at(kR, 0, t.columns);
  }
}

template <int kV, class T>
__attribute__((noinline)) void panel_rows(Strip a, int64_t next, const uint32_t* panel,
                                          int64_t depth, Target<T> t, int64_t rows) {
  strips<8, kV>(a, next, panel, depth, t, rows);
  strips<4, kV>(a, next, panel, depth, t, rows);
  strips<2, kV>(a, next, panel, depth, t, rows);
  strips<1, kV>(a, next, panel, depth, t, rows);
}

template <class F>
void with_elements(const Matrix& m, F&& f) {
  if (m.element == Element::bf16)
    f(static_cast<const bf16*>(m.data));
  else
    f(static_cast<const float*>(m.data));
}

struct Rows {
  Strip strip;
  int64_t next;  // Distance from a strip of 8 rows to the next strip.
};

// Rows of op(A)[row …, k …]: in place if they can be read there, else packed.
Rows rows_of(const Matrix& a, const MatmulTile& tile, int64_t k, int64_t depth, bf16* packed) {
  if (a.transposed) {
    with_elements(a, [&](const auto* data) {
      pack_strips(data + k * a.stride + tile.row, a.stride, tile.rows, depth,
                  reinterpret_cast<uint32_t*>(packed));
    });
    return {{packed, 2, 2 * kStripRows}, (depth + 1) / 2 * 2 * kStripRows};
  }
  const int64_t first_element = tile.row * a.stride + k;
  if (a.element == Element::bf16)
    return {{static_cast<const bf16*>(a.data) + first_element, a.stride, 2}, kStripRows * a.stride};
  round_rows(static_cast<const float*>(a.data) + first_element, a.stride, tile.rows, depth, packed);
  return {{packed, depth, 2}, kStripRows * depth};
}

int64_t panel_width(int64_t columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

// Packs op(B)[k … k + depth, column … column + columns].
void pack_panel(const Matrix& b, int64_t k, int64_t depth, int64_t column, int64_t columns,
                uint32_t* packed) {
  const int64_t width = panel_width(columns);
  with_elements(b, [&](const auto* data) {
    if (b.transposed)
      pack_rows_as_columns(data + column * b.stride + k, b.stride, columns, depth, width, packed);
    else
      pack_columns(data + k * b.stride + column, b.stride, columns, depth, width, packed);
  });
}

// Sets `to` to its base plus the tile's sums over [k, k + depth).
template <class T>
void add_chunk(const Product& p, const MatmulTile& tile, int64_t k, int64_t depth, Target<T> to,
               std::byte* workspace) {
  auto* panel = reinterpret_cast<uint32_t*>(workspace);
  auto* packed_rows = reinterpret_cast<bf16*>(workspace + PairTiles::kPanelBytes);
  const Rows a = rows_of(p.a, tile, k, depth, packed_rows);
  for (int64_t j = 0; j < tile.columns; j += PairTiles::kPanel) {
    const int64_t columns = std::min(PairTiles::kPanel, tile.columns - j);
    const int64_t width = panel_width(columns);
    pack_panel(p.b, k, depth, tile.column + j, columns, panel);
    const auto run = width == kLanes       ? panel_rows<1, T>
                     : width == 2 * kLanes ? panel_rows<2, T>
                                           : panel_rows<3, T>;
    run(a.strip, a.next, panel, depth, to.at(0, j, columns), tile.rows);
  }
}

template <class T>
Target<T> target_of(const Product& p, const MatmulTile& tile) {
  const int64_t at = tile.row * p.c.stride + tile.column;
  const T* base = static_cast<const T*>(p.c.base);
  return {base ? base + at : nullptr, static_cast<T*>(p.c.c) + at, p.c.stride, tile.columns};
}

// A bf16 tile of more than one chunk is summed in f32; this adds its base and rounds at the end.
void round_tile(const float* sums, const MatmulTile& tile, Target<bf16> to) {
  for (int64_t i = 0; i < tile.rows; ++i)
    for (int64_t j = 0; j < tile.columns; j += kLanes) {
      const int64_t at = i * to.stride + j, there = tile.columns - j;
      set_first(load(sums + i * tile.columns + j, first(there)), there,
                to.from ? to.from + at : nullptr, to.c + at);
    }
}

template <class T>
void sum_chunks(const Product& p, const MatmulTile& tile, Target<T> to, std::byte* workspace) {
  int64_t k = 0;
  do {  // Runs once even if p.k = 0, which sets C to its base.
    add_chunk(p, tile, k, std::min(PairTiles::kChunk, p.k - k), to, workspace);
    to.from = to.c;
    k += PairTiles::kChunk;
  } while (k < p.k);
}

}  // namespace

void matmul_tile(const Product& p, const MatmulTile& tile, std::byte* workspace) {
  if (!p.c.bf16) return sum_chunks(p, tile, target_of<float>(p, tile), workspace);
  const Target<bf16> to = target_of<bf16>(p, tile);
  if (p.k <= PairTiles::kChunk) return add_chunk(p, tile, 0, p.k, to, workspace);
  auto* sums = reinterpret_cast<float*>(workspace + kMatmulWorkspace);
  sum_chunks(p, tile, Target<float>{nullptr, sums, tile.columns, tile.columns}, workspace);
  round_tile(sums, tile, to);
}

}  // namespace birkhoff::cpu::avx512_bf16
