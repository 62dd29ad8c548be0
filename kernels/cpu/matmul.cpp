// Matrix product with packed panels and register tiles (Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", 2008). One chunk of B is packed into panels that are
// three vectors wide. Rows of A are read in place, by broadcast, unless A is transposed or not f32,
// in which case they are packed too. Packing converts bf16 to f32.
#include "kernels/cpu/matmul.h"

#include <algorithm>
#include <numeric>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// Accumulators fill the register file: 8 × 3 of 32 vectors with AVX-512, 4 × 3 of 16 below.
#if HWY_TARGET <= HWY_AVX3
constexpr int kStripRows = 8;
#else
constexpr int kStripRows = 4;
#endif
constexpr int kPanelVectors = 3;

// A strip of rows of op(A) within one chunk; element (r, k) is at data[r·row + k·step].
struct Strip {
  const float* data;
  int64_t row, step;
};

// The destination of a strip's sums: c = from + sum; from may be null or c.
struct Target {
  const float* from;
  float* c;
  int64_t stride;
  int64_t columns;  // Columns that exist; the panel is padded to whole vectors.
};

// Sets the first `count` elements of a vector.
HWY_INLINE void set_first(hn::Vec<Tag> value, int64_t count, const float* from, float* c) {
  HWY_ALIGN float lane[hn::MaxLanes(Tag())];
  hn::Store(value, Tag(), lane);
  for (int64_t j = 0; j < count; ++j) c[j] = from ? from[j] + lane[j] : lane[j];
}

template <int kR, int kV>
HWY_INLINE void multiply(Strip a, const float* HWY_RESTRICT panel, int64_t depth, Target t) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  hn::Vec<Tag> sum[kR][kV];
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) sum[r][v] = hn::Zero(d);
  const float* HWY_RESTRICT x = a.data;
  for (int64_t k = 0; k < depth; ++k, x += a.step, panel += kV * lanes) {
    hn::Vec<Tag> b[kV];
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) b[v] = hn::Load(d, panel + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) {
      const auto xr = hn::Set(d, x[r * a.row]);
#pragma GCC unroll 3
      for (int v = 0; v < kV; ++v) sum[r][v] = hn::MulAdd(xr, b[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) {
    float* c = t.c + r * t.stride;
    const float* from = t.from ? t.from + r * t.stride : nullptr;
#pragma GCC unroll 3
    for (int v = 0; v < kV; ++v) {
      const int64_t at = v * lanes, there = t.columns - at;
      if (there >= lanes)
        set(d, sum[r][v], from, c, at);
      else
        set_first(sum[r][v], there, from ? from + at : nullptr, c + at);
    }
  }
}

// Multiplies all rows by a panel: whole strips first, then 4, 2 and 1 rows.
template <int kR, int kV>
HWY_INLINE void strips(Strip& a, const float* panel, int64_t depth, Target& t, int64_t& rows) {
  for (; rows >= kR; rows -= kR) {
    multiply<kR, kV>(a, panel, depth, t);
    a.data += kR * a.row, t.c += kR * t.stride;
    if (t.from) t.from += kR * t.stride;
  }
}

template <int kV>
HWY_NOINLINE void panel_rows(Strip a, const float* panel, int64_t depth, Target t, int64_t rows) {
  strips<kStripRows, kV>(a, panel, depth, t, rows);
  if constexpr (kStripRows > 4) strips<4, kV>(a, panel, depth, t, rows);
  strips<2, kV>(a, panel, depth, t, rows);
  strips<1, kV>(a, panel, depth, t, rows);
}

// How the elements of a factor are read, see Element.
template <class T>
struct ReadWidened {
  const T* data;
  ReadWidened at(int64_t i) const { return {data + i}; }
  float one(int64_t i) const { return to_float(data[i]); }
  template <class D>
  HWY_INLINE hn::Vec<D> vector(D d, int64_t i) const {
    return load(d, data + i);
  }
};
struct ReadRounded {
  const float* data;
  ReadRounded at(int64_t i) const { return {data + i}; }
  float one(int64_t i) const { return to_float(to_bf16(data[i])); }
  template <class D>
  HWY_INLINE hn::Vec<D> vector(D d, int64_t i) const {
    return as_bf16(d, load(d, data + i));
  }
};

template <class F>
HWY_INLINE void with_reader(const Matrix& m, F&& f) {
  if (m.element == Element::bf16)
    f(ReadWidened<bf16>{static_cast<const bf16*>(m.data)});
  else if (m.element == Element::f32_as_bf16)
    f(ReadRounded{static_cast<const float*>(m.data)});
  else
    f(ReadWidened<float>{static_cast<const float*>(m.data)});
}

// to[k·width + j] = from[j·stride + k] for j < rows, by 4 × 4 blocks; zero for rows ≤ j < width.
template <class R>
HWY_INLINE void pack_transposed(R from, int64_t stride, int64_t rows, int64_t depth, int64_t width,
                                float* HWY_RESTRICT to) {
  int64_t j = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  for (; j + 4 <= rows; j += 4) {
    const R x = from.at(j * stride);
    int64_t k = 0;
    for (; k + 4 <= depth; k += 4) {
      const auto x0 = x.vector(d, k), x1 = x.vector(d, stride + k);
      const auto x2 = x.vector(d, 2 * stride + k), x3 = x.vector(d, 3 * stride + k);
      const auto l01 = hn::InterleaveLower(d, x0, x1), u01 = hn::InterleaveUpper(d, x0, x1);
      const auto l23 = hn::InterleaveLower(d, x2, x3), u23 = hn::InterleaveUpper(d, x2, x3);
      float* y = to + k * width + j;
      hn::StoreU(hn::ConcatLowerLower(d, l23, l01), d, y);
      hn::StoreU(hn::ConcatUpperUpper(d, l23, l01), d, y + width);
      hn::StoreU(hn::ConcatLowerLower(d, u23, u01), d, y + 2 * width);
      hn::StoreU(hn::ConcatUpperUpper(d, u23, u01), d, y + 3 * width);
    }
    for (; k < depth; ++k)
      for (int i = 0; i < 4; ++i) to[k * width + j + i] = x.one(i * stride + k);
  }
#endif
  for (; j < width; ++j)
    for (int64_t k = 0; k < depth; ++k) to[k * width + j] = j < rows ? from.one(j * stride + k) : 0;
}

// to[k·width + j] = from[k·stride + j] for j < columns; zero for columns ≤ j < width.
template <class R>
HWY_INLINE void pack_rows(R from, int64_t stride, int64_t columns, int64_t depth, int64_t width,
                          float* HWY_RESTRICT to) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  for (int64_t k = 0; k < depth; ++k, from = from.at(stride), to += width) {
    int64_t j = 0;
    for (; j + lanes <= columns; j += lanes) hn::StoreU(from.vector(d, j), d, to + j);
    for (; j < width; ++j) to[j] = j < columns ? from.one(j) : 0;
  }
}

int64_t panel_width(int64_t columns) {
  const int64_t lanes = int64_t(hn::Lanes(Tag()));
  return std::min<int64_t>(kPanelVectors, (columns + lanes - 1) / lanes) * lanes;
}

// Packs op(B)[k … k + depth] of the tile's columns into consecutive panels.
template <class R>
void pack_b(R data, const Matrix& b, const MatmulTile& tile, int64_t k, int64_t depth,
            float* packed) {
  for (int64_t j = 0; j < tile.columns;) {
    const int64_t width = panel_width(tile.columns - j), there = std::min(width, tile.columns - j);
    const int64_t column = tile.column + j;
    if (b.transposed)
      pack_transposed(data.at(column * b.stride + k), b.stride, there, depth, width, packed);
    else
      pack_rows(data.at(k * b.stride + column), b.stride, there, depth, width, packed);
    packed += width * depth;
    j += width;
  }
}

// Packs a transposed A into consecutive strips of kStripRows rows of op(A), with k outermost in
// each. Four strips are packed at a time, so that each cache line is read once and each strip is
// written in order.
template <class R>
void pack_a(R from, int64_t stride, int64_t rows, int64_t depth, float* packed) {
  constexpr int64_t kTogether = 4 * kStripRows;
  const hn::CappedTag<float, kStripRows> d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  int64_t i = 0;
  for (; i + kTogether <= rows; i += kTogether)
    for (int64_t q = 0; q < depth; ++q)
      for (int64_t j = 0; j < kTogether; j += lanes) {
        const int64_t strip = i + j / kStripRows * kStripRows;
        hn::StoreU(from.vector(d, q * stride + i + j), d,
                   packed + strip * depth + q * kStripRows + j % kStripRows);
      }
  for (; i < rows; i += kStripRows)
    for (int64_t q = 0; q < depth; ++q)
      for (int64_t j = 0; j < std::min<int64_t>(kStripRows, rows - i); ++j)
        packed[i * depth + q * kStripRows + j] = from.one(q * stride + i + j);
}

struct PackedA {
  Strip rows;        // The first rows of the tile.
  int64_t together;  // How many rows follow each other with the same stride.
};

// Rows of op(A)[row …, k …]: in place if they can be read there, else packed. A transposed A is
// packed into strips of kStripRows rows, so a panel is then multiplied strip by strip.
PackedA strips_of(const Matrix& a, const MatmulTile& tile, int64_t k, int64_t depth,
                  float* packed) {
  if (a.transposed) {
    with_reader(a, [&](auto data) HWY_ATTR {
      pack_a(data.at(k * a.stride + tile.row), a.stride, tile.rows, depth, packed);
    });
    return {{packed, 1, kStripRows}, kStripRows};
  }
  const int64_t first = tile.row * a.stride + k;
  if (a.element == Element::f32)
    return {{static_cast<const float*>(a.data) + first, a.stride, 1}, tile.rows};
  with_reader(a, [&](auto data) HWY_ATTR {
    for (int64_t i = 0; i < tile.rows; ++i)
      each_vector(depth, [&](auto d, int64_t q) HWY_ATTR {
        hn::StoreU(data.vector(d, first + i * a.stride + q), d, packed + i * depth + q);
      });
  });
  return {{packed, depth, 1}, tile.rows};
}

void chunk(const Product& p, const MatmulTile& tile, int64_t k, int64_t depth, Target to,
           float* workspace) {
  float *packed_b = workspace, *packed_a = workspace + kMatmulChunk * MatmulGrid::kColumns;
  with_reader(p.b, [&](auto data) HWY_ATTR { pack_b(data, p.b, tile, k, depth, packed_b); });
  const PackedA a = strips_of(p.a, tile, k, depth, packed_a);
  for (int64_t j = 0; j < tile.columns;) {
    const int64_t width = panel_width(tile.columns - j);
    for (int64_t i = 0; i < tile.rows; i += a.together) {
      const Strip strip{a.rows.data + i * depth, a.rows.row, a.rows.step};
      const int64_t at = i * to.stride + j;
      const Target t{to.from ? to.from + at : nullptr, to.c + at, to.stride,
                     std::min(width, tile.columns - j)};
      const int64_t rows = std::min(a.together, tile.rows - i);
      const auto run = width == int64_t(hn::Lanes(Tag()))       ? panel_rows<1>
                       : width == 2 * int64_t(hn::Lanes(Tag())) ? panel_rows<2>
                                                                : panel_rows<3>;
      run(strip, packed_b + j * depth, depth, t, rows);
    }
    j += width;
  }
}

// Computes the tile's sums; the first chunk starts from `to.from`.
void sum_tile(const Product& p, const MatmulTile& tile, Target to, float* workspace) {
  for (int64_t k = 0; k < p.k; k += kMatmulChunk) {
    chunk(p, tile, k, std::min(kMatmulChunk, p.k - k), to, workspace);
    to.from = to.c;
  }
  if (p.k > 0 || to.from == to.c) return;
  for (int64_t i = 0; i < tile.rows; ++i)
    if (to.from)
      std::copy_n(to.from + i * to.stride, tile.columns, to.c + i * to.stride);
    else
      std::fill_n(to.c + i * to.stride, tile.columns, 0.0f);
}

}  // namespace

void RunTile(const Product& p, const MatmulTile& tile, float* workspace) {
  const int64_t first = tile.row * p.c.stride + tile.column;
  if (!p.c.bf16) {
    const auto* base = static_cast<const float*>(p.c.base);
    sum_tile(p, tile,
             {base ? base + first : nullptr, static_cast<float*>(p.c.c) + first, p.c.stride,
              tile.columns},
             workspace);
    return;
  }
  float* sums = workspace + kMatmulWorkspace / sizeof(float);
  sum_tile(p, tile, {nullptr, sums, tile.columns, tile.columns}, workspace);
  const auto* base = static_cast<const bf16*>(p.c.base);
  for (int64_t i = 0; i < tile.rows; ++i)
    each_vector(tile.columns, [&](auto d, int64_t j) HWY_ATTR {
      set(d, hn::LoadU(d, sums + i * tile.columns + j), base, static_cast<bf16*>(p.c.c),
          first + i * p.c.stride + j);
    });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {
namespace {

constexpr int64_t kPanel = 48;           // Columns: whole panels for every instruction set.
constexpr int64_t kLowest = 64;          // Fewest rows that repay packing B.
constexpr int64_t kFewMore = 8;          // Columns of tiles that are tried beyond the fewest.
constexpr int64_t kTiles = 8;            // Enough tiles to keep a few threads busy to the end.
constexpr int64_t kTileTerms = 1 << 20;  // Fewest terms of a tile, about 10 µs.

int64_t parts(int64_t count, int64_t part) { return (count + part - 1) / part; }

// Evens out parts: returns a size, a multiple of `unit`, that divides `count` into as many parts as
// `part` does, but of nearly equal size.
int64_t even(int64_t count, int64_t part, int64_t unit) {
  return count == 0 ? part : parts(parts(count, parts(count, part)), unit) * unit;
}

}  // namespace

MatmulGrid::MatmulGrid(const Product& p, const Features& features, MatmulTeam team)
    : rows(kRows), columns(kColumns) {
  const int64_t least = parts(kTiles, std::max<int64_t>(team.products, 1));
  const int64_t wanted = std::clamp<int64_t>(p.m * p.n * p.k / kTileTerms, 1, least);
  if (PairTiles::takes(p, features))
    cut_pairs(p, wanted);
  else
    cut(p, wanted);
  row_tiles = parts(p.m, rows), column_tiles = parts(p.n, columns);
  if (team.products == 1 && row_tiles == 1) cut_tail(p, team.threads);
}

// With 11 columns of tiles, two threads would take 6 and 5. The leftover column is cut for both.
void MatmulGrid::cut_tail(const Product& p, int64_t threads) {
  tail = column_tiles % threads;
  if (tail == 0) return;
  const int64_t most = std::min(parts(p.m, kLowest), p.m * columns * p.k / kTileTerms);
  const int64_t wanted =
      std::clamp<int64_t>(threads / std::gcd(tail, threads), 1, std::max<int64_t>(most, 1));
  tail_rows = even(p.m, parts(p.m, wanted), 8);
  tail_tiles = parts(p.m, tail_rows);
}

// A narrow tile costs nothing if A is read in place, while a short one makes B be packed once more.
// If A is packed too, fewer and square tiles are best.
void MatmulGrid::cut(const Product& p, int64_t wanted) {
  if (p.a.transposed) wanted = parts(wanted, 2);
  while (parts(p.m, rows) * parts(p.n, columns) < wanted) {
    if (columns > kPanel && (!p.a.transposed || columns >= rows))
      columns /= 2;
    else if (rows > kLowest)
      rows /= 2;
    else
      break;
  }
  rows = even(p.m, rows, 8), columns = even(p.n, columns, kPanel);
}

// Rows of A that are read in place cost nothing, so tiles are then one panel wide, and each panel
// is packed once, or once for each part of the rows. Otherwise the cut that packs least is chosen.
void MatmulGrid::cut_pairs(const Product& p, int64_t wanted) {
  const bool in_place = !p.a.transposed && p.a.element == Element::bf16;
  const int64_t panels = std::max<int64_t>(parts(p.n, PairTiles::kPanel), 1);
  const int64_t low = parts(p.m, in_place ? PairTiles::kRows : PairTiles::packed_rows(p.k));
  const int64_t fewest = parts(PairTiles::kPanel * panels, kColumns);
  const auto cut_into = [&](int64_t across) {
    rows = even(p.m, parts(std::max<int64_t>(p.m, 1), std::max(low, parts(wanted, across))), 8);
    columns = even(p.n, parts(std::max<int64_t>(p.n, 1), across), PairTiles::kPanel);
  };
  if (in_place) return cut_into(panels);
  wanted = parts(wanted, 2);
  int64_t best = fewest, least = INT64_MAX;
  for (int64_t across = fewest; across <= std::min(panels, fewest + kFewMore); ++across) {
    const int64_t packed = std::max(low, parts(wanted, across)) * p.n + across * p.m;
    if (packed < least) least = packed, best = across;
  }
  cut_into(best);
}

MatmulTile MatmulGrid::tile(const Product& p, int64_t task) const {
  const bool low = task >= whole_tasks();
  const int64_t across = low ? tail : column_tiles - tail, height = low ? tail_rows : rows;
  if (low) task -= whole_tasks();
  const int64_t column = task % across + (low ? column_tiles - tail : 0);
  MatmulTile t{.row = task / across * height, .column = column * columns};
  t.rows = std::min(height, p.m - t.row);
  t.columns = std::min(columns, p.n - t.column);
  return t;
}

HWY_EXPORT(RunTile);

void every_machine::matmul_tile(const Product& p, const MatmulTile& tile, float* workspace) {
  HWY_DYNAMIC_DISPATCH(RunTile)(p, tile, workspace);
}

}  // namespace birkhoff::cpu
#endif
