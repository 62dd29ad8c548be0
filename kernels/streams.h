#pragma once
// Entry to and exit from the residual streams, [T, C] ↔ [T, n·C]: a token's n residual streams of C
// values are stored one after the other (arXiv 2409.19606). The two operators of each pair are each
// other's gradients.
//
//   copy_streams     y[t, i·C + c] = x[t, c]          x [T, C] → y [T, n·C]     desc {n ≥ 1}
//   sum_streams      y[t, c] = Σ_i x[t, i·C + c]      x [T, n·C] → y [T, C]     i in order
//
//   spread_streams   y = copy_streams(x) / n
//   mean_streams     y = sum_streams(x) / n
//
// An RMSNorm gives the same result for the mean as for the sum, except for the effect of its eps:
// when residual streams are added to an existing model, only the mean leaves that effect unchanged.
//
// x and y are of storage type (kernels/storage.h).
#include "kernels/operator.h"

namespace birkhoff {

struct StreamsDesc {
  int n = 1;
  static void visit(auto& d, auto&& field) { field("n", d.n); }
};

struct CopyStreams {
  enum In { x };
  enum Out { y };
  using Desc = StreamsDesc;
};
extern const Operator kCopyStreams;

struct SumStreams {
  enum In { x };
  enum Out { y };
  using Desc = StreamsDesc;
};
extern const Operator kSumStreams;

extern const Operator kSpreadStreams;  // Inputs, outputs and desc of CopyStreams.
extern const Operator kMeanStreams;    // Inputs, outputs and desc of SumStreams.

}  // namespace birkhoff
