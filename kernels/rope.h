#pragma once
// Rotary position embedding (Su et al., RoFormer, arXiv 2104.09864 §3.4.2), interleaved pairs.
//
//   The last `dims` of each head's D features are rotated in pairs (2i, 2i+1), i < dims/2:
//     y[2i]   = m·(x[2i]·cos a − x[2i+1]·sin a)
//     y[2i+1] = m·(x[2i]·sin a + x[2i+1]·cos a)
//     a   = position·f_i, or −position·f_i with `inverse`;   m = magnitude
//     f_i = theta^(−2i/dims)·(1 − r + r/factor),   r = clamp((i − low)/(high − low), 0, 1)
//   The first D − dims are copied.
//   x [T, heads·D], position i32 [T] → y [T, heads·D]     x, y of storage type (kernels/storage.h)
//
// With factor 1, f_i = theta^(−2i/dims), and low and high are ignored. Any other factor is YaRN's
// (Peng et al., arXiv 2309.00071 §3.2): pairs below `low` keep their frequency, pairs above `high`
// have it divided by factor, and the ramp r interpolates in between. high < low is allowed and
// follows the same formula. Throws unless factor > 0, magnitude > 0 and, for a factor other than 1,
// low ≠ high.
//
// The angle and its reduction to (−π, π] are computed in double, so that late positions rotate as
// accurately as early ones. The gradient is the transpose: this operator with `inverse` flipped and
// m unchanged.
#include "kernels/operator.h"

namespace birkhoff {

struct Rope {
  enum In { x, position };
  enum Out { y };
  struct Desc {
    int64_t heads = 1;
    int64_t dims = 0;  // even, ≤ D
    double theta = 10000;
    double factor = 1, low = 0, high = 1;
    double magnitude = 1;
    bool inverse = false;
    bool is_scaled() const { return factor != 1 || magnitude != 1; }
    static void visit(auto& d, auto&& field) {
      field("heads", d.heads), field("dims", d.dims), field("theta", d.theta);
      field("inverse", d.inverse);
      if (!d.is_scaled()) return;  // listings of models without scaling stay as they are
      field("factor", d.factor), field("low", d.low), field("high", d.high);
      field("magnitude", d.magnitude);
    }
  };
};
extern const Operator kRope;
inline constexpr int64_t kRopeTokens = 16;  // Tokens per task.

// The frequency f_i of pair i.
double rope_frequency(const Rope::Desc& desc, int64_t pair);

}  // namespace birkhoff
