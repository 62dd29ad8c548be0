#pragma once
// The backward of mHC on a CUDA device (formulas and shapes: kernels/mhc.h), in three passes over
// the rows, or in two. Emulated; not yet run on a GPU.
//
//   mhc_close_backward   (a)  df, dpost, dres                  from dy, link, f, post
//   mhc_open_backward    (b)  dpre, and from it dH~, dz and ds; dalpha, db
//                        (c)  dx, dphi
//
// Where mhc_backward_in_two_passes() holds, one pass by clusters of blocks does (b) and (c). It
// computes dres from dlink and x, as the operator in kernels/mhc.h does, and (a) is called without
// link and dres.
//
// Elements of storage type per token: (a) reads (2n + 1)C and writes C, (b) reads (n + 1)C, (c)
// reads (2n + 1)C and writes nC; 28C at n = 4. In two passes (a) reads (n + 1)C and writes C, and
// the other pass moves as much as (c): 19C. In addition there are coefficients (per token, (b)
// reads K + n + 1 + n² floats and writes cut.row floats, which (c) reads; in two passes K + n + 1
// floats are read), phi once, the partial sums of dphi (cut.splits·n·C·K floats, written and read)
// and dphi. docs/kernels.md has the table.
//
// n is 1, 2, 4 or 8, C a multiple of 8, and rows are aligned to 16 bytes. Streams and their
// gradients are bf16, everything else is f32. Only bases (meaning 0), and link and dres as said
// above, may be null. dx is summed in f32 and rounded once; a row's bits depend only on that row
// and the weights. dphi, dalpha and db are summed in a fixed order that depends on the number of
// tokens, so their bits are reproducible. Two passes and three give different bits: they sum in
// different orders, and in dz·phiᵀ two passes round phi to bf16, three to tf32. Synchronised only
// with `stream`. Throws InternalError for any other argument; a rejected launch throws as described
// in base/cuda/error.h.
#include "kernels/cuda/sinkhorn_form.h"

namespace birkhoff::cuda {

// link and dres are both given or both null.
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
  // Each is null (0), the output itself, or a separate array.
  const float *dphi_base = nullptr, *dalpha_base = nullptr, *db_base = nullptr;
  bf16* dx = nullptr;
  float *dphi = nullptr, *dalpha = nullptr, *db = nullptr;
  float* workspace = nullptr;  // [cut.workspace], aligned to 16 bytes
  int64_t tokens = 0, width = 0;
  int n = 0;
  SinkhornHow sinkhorn = {};
  int capability = 80;  // compute capability, 10·major + minor
};
void mhc_open_backward(const MhcOpenBackwardArgs& args, cudaStream_t stream);

// Whether the device has clusters and the rows are wide, of at most 4 streams. Depends only on
// capability, width, n and sinkhorn.
bool mhc_backward_in_two_passes(const MhcOpenBackwardArgs& args);

// How a call's work is divided: a pure function of the number of tokens and the arguments that
// mhc_backward_in_two_passes() uses. "The combined pass" is (b) and (c) in one; there a cluster
// walks the tokens of its split.
struct MhcOpenBackwardCut {
  int64_t row = 0;                 // floats per token that (b) leaves for (c)
  int64_t block_tokens = 0;        // tokens per block of (b)
  unsigned blocks = 0;             // of (b) or the combined pass; each has sums of dalpha and db
  int slab = 0;                    // channels, of all streams, per block of (c) or combined pass
  int64_t split_tokens = 0;        // tokens that such a block walks
  unsigned slabs = 0, splits = 0;  // the grid of (c); of the combined pass splits alone
  int64_t sums = 0, dphi = 0;      // offsets of the partial sums in the workspace, in floats
  int64_t weights = 0;             // floats in one partial sum of dphi
  int64_t workspace = 0;           // floats
};
MhcOpenBackwardCut mhc_open_backward_cut(const MhcOpenBackwardArgs& args);

}  // namespace birkhoff::cuda
