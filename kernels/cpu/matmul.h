#pragma once
// C = base + op(A)·op(B), f32, cut into tiles that are tasks of a thread team.
//
//   op(A) [m, k], op(B) [k, n], base and C [m, n], row-major with strides in elements
//
// Each element of C is a chain of fused multiply-adds over k in order, restarted every kMatmulChunk
// terms and then added to C: chunk by chunk, c = c + Σ_{k in chunk} a·b, the first time base + Σ.
// Its bits are therefore a function of its row of op(A), its column of op(B), its base and the
// instruction set, and of nothing else: not of m, n, tiles, strides, neighbours or threads. A NaN
// in one row stays in that row.
//
// Thread-safe: no state. base is null (0), C itself, or a matrix with C's stride that overlaps no
// part of C; A and B overlap no part of C. k = 0 gives C = base.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/operator.h"

namespace birkhoff::cpu {

struct Matrix {
  const float* data = nullptr;
  int64_t stride = 0;       // between rows as stored
  bool transposed = false;  // op(X)[i, j] is data[j·stride + i], else data[i·stride + j]
};

struct Product {
  int64_t m = 0, n = 0, k = 0;
  Matrix a = {}, b = {};
  const float* base = nullptr;
  float* c = nullptr;
  int64_t c_stride = 0;
};

// Terms of a sum between two additions to C. 256 floats of 48 columns are 48 KiB: a panel of B
// waits in L2 for the next rows, and the rows of A stay in L1.
inline constexpr int64_t kMatmulChunk = 256;

struct MatmulTile {
  int64_t row = 0, column = 0, rows = 0, columns = 0;
};

// The tiles of a product, chosen by its shape: as even as possible, at most kRows × kColumns.
struct MatmulGrid {
  static constexpr int64_t kRows = 512, kColumns = 384;
  explicit MatmulGrid(const Product& p);
  int64_t tasks() const { return row_tiles * column_tiles; }
  MatmulTile tile(const Product& p, int64_t task) const;

  int64_t rows, columns;  // of a tile
  int64_t row_tiles, column_tiles;
};

// Bytes of workspace of a thread: the packed chunk of B, and that of a transposed A.
inline constexpr size_t kMatmulWorkspace =
    size_t(kMatmulChunk * (MatmulGrid::kColumns + MatmulGrid::kRows)) * sizeof(float);

// One tile of the product, on the calling thread: at most kRows × kColumns. `workspace` is 64-byte
// aligned.
void matmul_tile(const Product& p, const MatmulTile& tile, float* workspace);

// Products 0 … count − 1, as one set of tasks of the team. They write to different places;
// kMatmulWorkspace bytes of each thread's workspace are used. `first_task` has room for count + 1.
template <class F>  // Product(int64_t i)
void matmuls(const Args& a, int64_t count, int64_t* first_task, F&& product) {
  first_task[0] = 0;
  for (int64_t i = 0; i < count; ++i)
    first_task[i + 1] = first_task[i] + MatmulGrid(product(i)).tasks();
  a.team().run(first_task[count], [&](int64_t task, int worker) {
    // Products without tasks share their first task with the next one: take the last of them.
    const int64_t i = std::upper_bound(first_task, first_task + count, task) - first_task - 1;
    const Product p = product(i);
    matmul_tile(p, MatmulGrid(p).tile(p, task - first_task[i]), a.thread_workspace<float>(worker));
  });
}

inline void matmul(const Args& a, const Product& p) {
  int64_t first_task[2];
  matmuls(a, 1, first_task, [&](int64_t) { return p; });
}

}  // namespace birkhoff::cpu
