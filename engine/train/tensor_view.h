#pragma once
// Canonical tensors of an executor, in place: what initialisation, checkpoints and export see.
#include <span>
#include <string>
#include <vector>

#include "engine/autograd/program.h"
#include "engine/execute/executor.h"

namespace birkhoff {

struct TensorView {
  std::string name;
  TensorSpec spec;
  std::span<std::byte> bytes;
};

// The parts of every parameter, in order of tracing.
std::vector<TensorView> parameter_views(const Program& program, const Executor& executor);

// Everything that a trained model's function depends on: the parameters and the balancing biases.
std::vector<TensorView> model_views(const Program& program, const Executor& executor);

}  // namespace birkhoff
