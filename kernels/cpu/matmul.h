#pragma once
// C = base + op(A)·op(B), cut into tiles that are tasks of a thread team.
//
//   op(A) [m, k], op(B) [k, n], base and C [m, n], row-major with strides in elements
//
// A, B and C are f32 or bf16 each, base is as C; an f32 factor can be read as if it were bf16.
// Products and sums are f32: each element of C is a chain of fused multiply-adds over k in order,
// restarted every kMatmulChunk terms and then added up: chunk by chunk, c = c + Σ_{k in chunk} a·b,
// the first time base + Σ. A bf16 C is summed in f32 so, and base is added last, with one rounding.
// Two bf16 factors are multiplied in pairs on processors that can (kernels/cpu/routines.h), in
// chunks of PairTiles::kChunk. Its bits are therefore a function of its row of op(A), its column of
// op(B), its base and the instruction set, and of nothing else: not of m, n, tiles, strides,
// neighbours or threads. A NaN in one row stays in that row.
//
// Thread-safe: no state. base is null (0), C itself, or a matrix with C's stride that overlaps no
// part of C; A and B overlap no part of C. k = 0 gives C = base.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/routines.h"
#include "kernels/operator.h"

namespace birkhoff::cpu {

// How the elements of a factor become f32: as they are, rounded to bf16 first, or widened.
enum class Element { f32, f32_as_bf16, bf16 };

struct Matrix {
  const void* data = nullptr;
  int64_t stride = 0;       // between rows as stored
  bool transposed = false;  // op(X)[i, j] is data[j·stride + i], else data[i·stride + j]
  Element element = Element::f32;

  Matrix() = default;
  Matrix(const float* from, int64_t row, bool turned = false, bool as_bf16 = false)
      : data(from),
        stride(row),
        transposed(turned),
        element(as_bf16 ? Element::f32_as_bf16 : Element::f32) {}
  // From element `first` of an operand on.
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
  int64_t stride = 0;  // between rows, of both
  bool bf16 = false;

  Sum() = default;
  Sum(float* to, const float* from, int64_t row) : c(to), base(from), stride(row) {}
  // From element `first` of a result on.
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

// Terms of a sum between two additions to C. 256 floats of 48 columns are 48 KiB: a panel of B
// waits in L2 for the next rows, and the rows of A stay in L1.
inline constexpr int64_t kMatmulChunk = 256;

// A product of two bf16 factors, on a processor with pairs: a panel of kPanel columns of B is 96
// KiB and waits in L2, beside up to kPackedRows rows of a whole chunk of an A that is not read in
// place, or more of a shorter one.
struct PairTiles {
  static constexpr int64_t kChunk = 1024, kPanel = 48, kPackedRows = 400, kRows = 2048;
  static constexpr int64_t kMostPackedRows = 512;  // of a tile as wide as there are
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

// Who makes products at the same time: the more, the fewer tasks each needs; and the tasks of one
// are cut so that each thread gets as much.
struct MatmulTeam {
  int64_t products = 1, threads = 1;
};

// The tiles of a product, chosen by its shape and the team: as even as possible, at most kRows ×
// kColumns elements. The last `tail` columns of tiles are cut into lower ones, of tail_rows rows.
struct MatmulGrid {
  static constexpr int64_t kRows = 512, kColumns = 384;
  MatmulGrid(const Product& p, const Features& features, MatmulTeam team = {});
  int64_t tasks() const { return whole_tasks() + tail * tail_tiles; }
  MatmulTile tile(const Product& p, int64_t task) const;

  int64_t rows, columns;  // of a tile
  int64_t row_tiles, column_tiles;
  int64_t tail = 0, tail_rows = 0, tail_tiles = 0;

 private:
  int64_t whole_tasks() const { return row_tiles * (column_tiles - tail); }
  void cut(const Product& p, int64_t wanted);
  void cut_pairs(const Product& p, int64_t wanted);
  void cut_tail(const Product& p, int64_t threads);
};

// Bytes of workspace of a thread: the packed chunk of B, that of an A that is not read in place,
// and where a tile of a bf16 C is summed.
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

// Routines::matmul_tile makes one tile of the product, on the calling thread: at most kRows ×
// kColumns elements, and rows as MatmulGrid cuts them. `workspace` is 64-byte aligned and has the
// bytes above.

// Products 0 … count − 1, as one set of tasks of the team. They write to different places;
// matmul_workspace() bytes of each thread's workspace are used. `first_task` has room for count
// + 1.
template <class F>  // Product(int64_t i)
void matmuls(const Args& a, int64_t count, int64_t* first_task, F&& product) {
  const MatmulTeam team{count, a.team().size()};
  const Features& features = a.context->features;
  first_task[0] = 0;
  for (int64_t i = 0; i < count; ++i)
    first_task[i + 1] = first_task[i] + MatmulGrid(product(i), features, team).tasks();
  a.team().run(first_task[count], [&](int64_t task, int worker) {
    // Products without tasks share their first task with the next one: take the last of them.
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
