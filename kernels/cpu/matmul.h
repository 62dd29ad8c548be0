#pragma once
// C = base + op(A)·op(B), divided into tiles that are tasks of a thread team.
//
//   op(A) [m, k], op(B) [k, n], base and C [m, n], row-major with strides in elements
//
// A, B and C are each f32 or bf16, base has the type of C; an f32 factor can be rounded to bf16 as
// it is read. Products and sums are f32. An element of C is the sum of chains of fused
// multiply-adds over k in order, one chain per chunk of kMatmulChunk terms. Chunk by chunk,
// c = c + Σ_{k in chunk} a·b, starting with base + Σ for the first chunk. A bf16 C is summed in f32
// the same way, and base is added last, with a single rounding. If both factors are bf16 (or
// rounded to it) and the processor multiplies pairs of bf16 (kernels/cpu/routines.h), chunks are of
// PairTiles::kChunk terms.
// The bits of an element therefore depend only on its row of op(A), its column of op(B), its base
// and the instruction set, but not on m, n, tiles, strides, neighbours or threads. A NaN in one row
// stays in that row.
//
// Thread-safe: no state. base is null (0), C itself, or a matrix with C's stride that does not
// overlap C; A and B do not overlap C. k = 0 gives C = base.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/routines.h"
#include "kernels/operator.h"

namespace birkhoff::cpu {

// How the elements of a factor become f32: unchanged, rounded to bf16 first, or widened.
enum class Element { f32, f32_as_bf16, bf16 };

struct Matrix {
  const void* data = nullptr;
  int64_t stride = 0;       // Stride between rows as stored.
  bool transposed = false;  // op(X)[i, j] is data[j·stride + i], else data[i·stride + j]
  Element element = Element::f32;

  Matrix() = default;
  Matrix(const float* from, int64_t row, bool turned = false, bool as_bf16 = false)
      : data(from),
        stride(row),
        transposed(turned),
        element(as_bf16 ? Element::f32_as_bf16 : Element::f32) {}
  // Starts at element `first` of an operand.
  Matrix(const Operand& from, int64_t first, int64_t row, bool turned = false, bool as_bf16 = false)
      : data(static_cast<const std::byte*>(from.data) + size_t(first) * size_of(from.spec->dtype)),
        stride(row),
        transposed(turned),
        element(from.spec->dtype == DType::bf16 ? Element::bf16
                : as_bf16                       ? Element::f32_as_bf16
                                                : Element::f32) {}
};

struct Sum {  // C and its base
  void* c = nullptr;
  const void* base = nullptr;
  int64_t stride = 0;  // Row stride of both.
  bool bf16 = false;

  Sum() = default;
  Sum(float* to, const float* from, int64_t row) : c(to), base(from), stride(row) {}
  // Starts at element `first` of a result.
  Sum(const Result& to, int64_t first, int64_t row)
      : c(static_cast<std::byte*>(to.data) + size_t(first) * size_of(to.spec->dtype)),
        base(to.base
                 ? static_cast<const std::byte*>(to.base) + size_t(first) * size_of(to.spec->dtype)
                 : nullptr),
        stride(row),
        bf16(to.spec->dtype == DType::bf16) {}
};

struct Product {
  int64_t m = 0, n = 0, k = 0;
  Matrix a = {}, b = {};
  Sum c = {};

  bool of_bf16() const { return a.element != Element::f32 && b.element != Element::f32; }
};

// Terms of a sum per addition to C. A panel of B, 48 columns of 256 floats, takes 48 KiB: it stays
// in L2 for the next rows, while the rows of A stay in L1.
inline constexpr int64_t kMatmulChunk = 256;

// Sizes for a product of two bf16 factors on a processor that multiplies pairs. A panel of kPanel
// columns of B takes 96 KiB and stays in L2. So do, if A is not read in place, up to kPackedRows
// packed rows of a whole chunk of A, or more rows of a shorter chunk. If A is read in place, a tile
// has up to kRows rows.
struct PairTiles {
  static constexpr int64_t kChunk = 1024, kPanel = 48, kPackedRows = 400, kRows = 2048;
  static constexpr int64_t kMostPackedRows = 512;  // Holds for tiles of up to kColumns columns.
  static constexpr size_t kPanelBytes = size_t(kChunk * kPanel) * 2;
  static constexpr size_t kBytes = kPanelBytes + size_t(kChunk * kPackedRows) * 2;
  static int64_t packed_rows(int64_t k) {
    const int64_t depth = std::clamp<int64_t>((k + 1) / 2 * 2, 2, kChunk);
    return std::min(kMostPackedRows, kChunk * kPackedRows / depth / 8 * 8);
  }
  static bool takes(const Product& p, const Features& features) {
    return features.avx512_bf16 && p.of_bf16();
  }
};

struct MatmulTile {
  int64_t row = 0, column = 0, rows = 0, columns = 0;
};

// The number of products computed at the same time, and of threads. The more products, the fewer
// tasks each needs; the tasks of a single product are cut so that all threads get the same share.
struct MatmulTeam {
  int64_t products = 1, threads = 1;
};

// The tiles of a product, chosen by its shape and the team: as even as possible, at most kRows ×
// kColumns elements each. The last `tail` columns of tiles are cut into shorter tiles of tail_rows
// rows.
struct MatmulGrid {
  static constexpr int64_t kRows = 512, kColumns = 384;
  MatmulGrid(const Product& p, const Features& features, MatmulTeam team = {});
  int64_t tasks() const { return whole_tasks() + tail * tail_tiles; }
  MatmulTile tile(const Product& p, int64_t task) const;

  int64_t rows, columns;  // Size of a tile.
  int64_t row_tiles, column_tiles;
  int64_t tail = 0, tail_rows = 0, tail_tiles = 0;

 private:
  int64_t whole_tasks() const { return row_tiles * (column_tiles - tail); }
  void cut(const Product& p, int64_t wanted);
  void cut_pairs(const Product& p, int64_t wanted);
  void cut_tail(const Product& p, int64_t threads);
};

// Bytes of workspace per thread: the packed chunk of B, the packed chunk of A if A is not read in
// place, and the f32 sums of a tile of a bf16 C.
inline constexpr size_t kMatmulWorkspace =
    size_t(kMatmulChunk * (MatmulGrid::kColumns + MatmulGrid::kRows)) * sizeof(float);
inline constexpr size_t kMatmulTileBytes =
    size_t(MatmulGrid::kRows * MatmulGrid::kColumns) * sizeof(float);
static_assert(PairTiles::kBytes <= kMatmulWorkspace);
static_assert(PairTiles::kMostPackedRows <= MatmulGrid::kRows);
constexpr size_t matmul_workspace(DType c) {
  return kMatmulWorkspace + (c == DType::bf16 ? kMatmulTileBytes : 0);
}

inline Workspace matmul_scratch(DType c) { return {.per_thread = matmul_workspace(c)}; }

// Routines::matmul_tile computes one tile of the product on the calling thread. The tile has at
// most kRows × kColumns elements and its rows are as MatmulGrid cuts them. `workspace` is 64-byte
// aligned and has matmul_workspace() bytes.

// Computes products 0 … count − 1 as one set of tasks of the team. REQUIRES that their outputs do
// not overlap. Uses matmul_workspace() bytes of each thread's workspace; `first_task` has room for
// count + 1 elements.
template <class F>  // Product(int64_t i)
void matmuls(const Args& a, int64_t count, int64_t* first_task, F&& product) {
  const MatmulTeam team{count, a.team().size()};
  const Features& features = a.context->features;
  first_task[0] = 0;
  for (int64_t i = 0; i < count; ++i)
    first_task[i + 1] = first_task[i] + MatmulGrid(product(i), features, team).tasks();
  a.team().run(first_task[count], [&](int64_t task, int worker) {
    // Products without tasks have the same first task as the next product, so take the last one.
    const int64_t i = std::upper_bound(first_task, first_task + count, task) - first_task - 1;
    const Product p = product(i);
    const MatmulTile tile = MatmulGrid(p, features, team).tile(p, task - first_task[i]);
    routines(features).matmul_tile(p, tile, a.thread_workspace<float>(worker));
  });
}

inline void matmul(const Args& a, const Product& p) {
  int64_t first_task[2];
  matmuls(a, 1, first_task, [&](int64_t) { return p; });
}

}  // namespace birkhoff::cpu
