#pragma once
// Statistics of the residual streams (arXiv 2512.24880 §3.1), summed over the tokens of a step.
// They give the mean H_res of a sublayer (products of these matrices show how much the residual
// path amplifies) and how alike the residual streams are.
//
//   y = Σ_t (res_t [n²], alike_t, 1)   over all t with position[t] ≥ 0, where when[0] ≠ 0;
//                                      y = 0, and nothing else is read, where when[0] = 0
//   alike_t = mean over i < j of cos(x_i, x_j)   x_i [C]: residual stream i of token t; a stream of
//                                                zeros has cosine 0 with any other; 1 if n = 1
//
// x [T, n·C] of storage type, res [T, n²] f32, when i32 [1], position i32 [T] → y f64 [n² + 2]
// n = √(columns of res). A row with position < 0 is padding (engine/data/samples.h): it is neither
// summed nor counted, and its x and res are not read.
//
// Sums are in f64, over blocks of tokens in order, so their bits do not depend on the threads. The
// reference device also takes f64 inputs. There is no gradient.
#include "kernels/operator.h"

namespace birkhoff {

struct StreamStatistics {
  enum In { x, res, when, position };
  enum Out { y };
};
extern const Operator kStreamStatistics;
inline constexpr int64_t kStreamStatisticsTokens = 64;  // Tokens per block.

}  // namespace birkhoff
