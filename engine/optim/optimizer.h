#pragma once
// The update list: exact gradient norm, clip, AdamW on every parameter, loss-free balancing.
//
// All of it runs where the gradients are; the host fills `hyper` before each update and reads
// `norm` afterwards. A gradient that is not finite makes `norm` not finite and changes nothing (the
// clip scale is NaN, and AdamW and balancing then do nothing); the caller decides what happens
// next.
#include <array>

#include "engine/autograd/program.h"
#include "engine/config/config.h"

namespace birkhoff {

struct OptimizerIo {
  Value hyper;  // constant, f32 [4]: see hyper_of
  Value norm;   // output, f64 [1]: the gradient's norm before clipping
};

// Traces program.update. REQUIRES a differentiated program.
OptimizerIo trace_update(Program& program, const Config& config);

// {lr, 1/(1 − beta1^t), 1/(1 − beta2^t), 0} for step t ≥ 1.
std::array<float, 4> hyper_of(const Config& config, int64_t step);

double weight_decay_of(const OptimConfig& config, Decay decay);

}  // namespace birkhoff
