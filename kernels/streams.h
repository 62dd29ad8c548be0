#pragma once
// The borders of the residual streams: [T, C] ↔ [T, n·C], a token's n streams of C values one
// after the other (arXiv 2409.19606). Each of a pair is the other's gradient.
//
//   copy_streams     y[t, i·C + c] = x[t, c]          x [T, C] → y [T, n·C]     desc {n ≥ 1}
//   sum_streams      y[t, c] = Σ_i x[t, i·C + c]      x [T, n·C] → y [T, C]     i in order
//
//   spread_streams   y = copy_streams(x) / n
//   mean_streams     y = sum_streams(x) / n
//
// Behind an RMSNorm the mean is the sum, but for its eps: of a model that gains streams only the
// mean leaves that alone.
//
// Of storage type (kernels/storage.h).
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

extern const Operator kSpreadStreams;  // as CopyStreams
extern const Operator kMeanStreams;    // as SumStreams

}  // namespace birkhoff
