#pragma once
// C = A·B by tiles of 64×64, for tests: double-buffered cp.async, ldmatrix, mma. Variants have
// faults that are easily made.
//
//   A [M, K] bf16, B [K, N] bf16 → C [M, N] f32     M and N multiples of 64, K of 32
#include "kernels/cuda/device/types.h"

namespace birkhoff::testing {

enum class GemmFault {
  none,
  no_barrier,  // after the products: the next copies overwrite what other warps still read
  wrong_wait,  // for the last tile: its copies may still be in flight
};

struct GemmTile {
  const bf16 *a, *b;
  float* c;
  int m, n, k;
};
void run_gemm_tile(const GemmTile& args, GemmFault fault, cudaStream_t stream);

}  // namespace birkhoff::testing
