#pragma once
// The backward of mHC on a CUDA device (formulas and shapes: kernels/mhc.h), in three passes over
// the rows, or in two. Emulated; not yet run on a GPU.
//
//   mhc_close_backward   (a)  df, dpost, dres                  of dy, link, f, post
//   mhc_open_backward    (b)  dpre, and by it dH~, dz and ds; dalpha, db
//                        (c)  dx, dphi
//
// In two passes, where mhc_backward_in_two_passes() says so, (b) and (c) are one, by clusters of
// blocks; it makes dres of dlink and x, as the operator in kernels/mhc.h does, and (a) is called
// without link and dres.
//
// Elements of storage a token: (a) reads (2n + 1)C and writes C, (b) reads (n + 1)C, (c) reads
// (2n + 1)C and writes nC; 28C at n = 4. In two passes (a) reads (n + 1)C and writes C, the other
// is as (c): 19C. Beside them go coefficients: K + n + 1 + n² floats that (b) reads and cut.row
// that it writes and (c) reads (in two passes K + n + 1, read); phi once; the partial sums of dphi,
// written and read, cut.splits·n·C·K floats; dphi. docs/kernels.md has the table.
//
// n is 1, 2, 4 or 8, C a multiple of 8, rows are aligned to 16 bytes; streams and their gradients
// are bf16, all else is f32. No pointer is null but those of a base (0). dx is summed in f32 and
// rounded once; a row's bits are a function of that row and the weights. dphi, dalpha and db are
// summed in a fixed order that the number of tokens decides: bits repeat. Two passes and three give
// other bits, by other orders of sums, and by phi, which two passes round to bf16 in dz·phiᵀ and
// three to tf32. Not synchronised with anything but `stream`. Throws InternalError if an argument
// is none of these; of a launch that is refused what base/cuda/error.h says.
#include "kernels/cuda/sinkhorn_form.h"

namespace birkhoff::cuda {

// link and dres: both or neither.
struct MhcCloseBackwardArgs {
  const bf16 *dy = nullptr, *link = nullptr, *f = nullptr;
  const float* post = nullptr;
  bf16* df = nullptr;
  float *dpost = nullptr, *dres = nullptr;
  int64_t tokens = 0, width = 0;  // T, C
  int n = 0;
};
void mhc_close_backward(const MhcCloseBackwardArgs& args, cudaStream_t stream);

struct MhcOpenBackwardArgs {
  const bf16 *x = nullptr, *dh = nullptr, *dlink = nullptr;
  const float *phi = nullptr, *alpha = nullptr, *b = nullptr;
  const float *u = nullptr, *rho = nullptr, *dpost = nullptr, *dres = nullptr;
  // Null or the output itself, or elsewhere.
  const float *dphi_base = nullptr, *dalpha_base = nullptr, *db_base = nullptr;
  bf16* dx = nullptr;
  float *dphi = nullptr, *dalpha = nullptr, *db = nullptr;
  float* workspace = nullptr;  // [cut.workspace], aligned to 16 bytes
  int64_t tokens = 0, width = 0;
  int n = 0;
  SinkhornHow sinkhorn = {};
  int capability = 80;  // of the device: 10·major + minor
};
void mhc_open_backward(const MhcOpenBackwardArgs& args, cudaStream_t stream);

// Of capability, width, n and sinkhorn: wide rows of up to 4 streams, where there are clusters.
bool mhc_backward_in_two_passes(const MhcOpenBackwardArgs& args);

// How a call is cut: a pure function of tokens and what mhc_backward_in_two_passes() looks at. In
// two passes a cluster walks the tokens of its split.
struct MhcOpenBackwardCut {
  int64_t row = 0;                 // floats of a token between (b) and (c)
  int64_t block_tokens = 0;        // of a block of (b)
  unsigned blocks = 0;             // of (b) or all, each with a partial sum of dalpha and db
  int slab = 0;                    // channels of a block of (c) or of all, of all streams
  int64_t split_tokens = 0;        // that it walks
  unsigned slabs = 0, splits = 0;  // blocks of (c)
  int64_t sums = 0, dphi = 0;      // where partial sums begin in the workspace, in floats
  int64_t weights = 0;             // floats of a partial sum of dphi
  int64_t workspace = 0;           // floats
};
MhcOpenBackwardCut mhc_open_backward_cut(const MhcOpenBackwardArgs& args);

}  // namespace birkhoff::cuda
