#pragma once
// The learning rate of a step.
//
//   warm-up   1 ≤ s ≤ W                lr · s / W                      W = optim.warmup_steps
//   step      then, s > round(p_i·T)   lr · f_i of the last such i, else lr        T = train.steps
//   constant  then                     lr
//   cosine    then                     lr · (m + (1 − m)·(1 + cos(π·(s − W)/(T − W)))/2)
//   wsd       then, up to D            lr;   beyond it falls linearly to lr·m at T
//             D = max(W, T − round(decay_fraction·T))          m = optim.min_lr_fraction
//
// To the last bit, step W has lr, step T of cosine and wsd has lr·m, and steps of `step` have
// lr·f_i. The factors multiply the base rate, not each other (arXiv 2512.24880, Table 5), and hold
// from the first step after the point: with p = 0.8, T = 30000 that is step 24001. Pure;
// thread-safe.
#include <cstdint>

#include "engine/config/config.h"

namespace birkhoff {

// `step` counts from 1; after total_steps the last value holds. Throws InternalError for a step or
// total below 1.
double learning_rate(const OptimConfig& optim, int64_t total_steps, int64_t step);

}  // namespace birkhoff
