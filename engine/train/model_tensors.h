#pragma once
// The tensors of a model, from its config alone: no memory, no values.
#include <vector>

#include "engine/config/config.h"
#include "engine/tensor/parameter.h"

namespace birkhoff {

struct ModelTensor {
  Part part;               // f32
  bool is_trained = true;  // false: a balancing bias, which has no moments
};

// The parts of every parameter and the balancing biases, ascending by name: everything that the
// model's function depends on.
std::vector<ModelTensor> model_tensors(const Config& config);

// A lower bound of their number, by arithmetic alone. A file with fewer tensors is of another
// model; that must be known first, since tracing a hostile config may take minutes and gigabytes.
int64_t fewest_tensors(const Config& config);

}  // namespace birkhoff
