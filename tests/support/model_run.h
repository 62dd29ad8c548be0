#pragma once
// One micro-batch of a small model, traced, differentiated, planned, filled and run, for tests.
#include <map>
#include <optional>

#include "engine/autograd/differentiate.h"
#include "engine/execute/executor.h"
#include "engine/model/model.h"

namespace birkhoff::testing {

// 3 layers (1 dense), dim 12, 2 heads, 4 experts of which 2 active, n = 2, 2 sequences of 5 tokens.
Config small_config();

struct ModelRunOptions {
  DType dtype = DType::f32;  // of activations; f64 runs on the reference device
  Device device = Device::cpu;
  int threads = 1;
  bool poison = true;
  std::byte canary{0xA5};
  bool generic = true;    // random parameters everywhere; else the config's own initialisation
  double spread = 0.4;    // their standard deviation; gains: a quarter of it, around 1
  int micro_batches = 1;  // runs the same one several times
};

// By part name; double holds f32 exactly.
using Tensors = std::map<std::string, std::vector<double>>;

class ModelRun {
 public:
  explicit ModelRun(const Config& config, ModelRunOptions options = {});

  double step();  // begin_step, the micro-batches; returns the loss
  Tensors gradients() const;
  Tensors parameters() const;
  void set_parameter(const std::string& part, int64_t index, double value);
  std::vector<double> values(Value v) const;

  Config config;
  ModelRunOptions options;
  Program program;
  ModelIo io;
  Value seed;  // gradient of the loss
  ThreadTeam team;
  Schedule schedule;
  std::optional<Executor> executor;

 private:
  Tensors by_part(Kind kind) const;
  void fill_parameters();
  void fill_inputs();
};

// Norm of a − b over the norm of b; throws if the sizes differ.
double relative_difference(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace birkhoff::testing
