#pragma once
// What the residual streams do (arXiv 2512.24880 §3.1), summed over the tokens of a step: the mean
// H_res of a sublayer, whose products show how much the residual path amplifies, and how alike the
// streams are.
//
//   y = Σ_t (res_t [n²], alike_t, 1)   over all t with position[t] ≥ 0, where when[0] ≠ 0;
//                                      y = 0, and nothing else is read, where when[0] = 0
//   alike_t = mean over i < j of cos(x_i, x_j)   x_i [C] stream i of token t; a stream of zeros has
//                                                cosine 0 with any other; n = 1: 1
//
// x [T, n·C] of storage type, res [T, n²] f32, when i32 [1], position i32 [T] → y f64 [n² + 2]
// n = √(columns of res). A row with position < 0 is padding (engine/data/samples.h): it is neither
// summed nor counted, and its x and res are not read.
//
// Sums in f64, over blocks of tokens in order: bits do not depend on threads. The reference device
// takes f64 too. No gradient.
#include "kernels/operator.h"

namespace birkhoff {

struct StreamStatistics {
  enum In { x, res, when, position };
  enum Out { y };
};
extern const Operator kStreamStatistics;
inline constexpr int64_t kStreamStatisticsTokens = 64;  // of a block

}  // namespace birkhoff
