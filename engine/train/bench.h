#pragma once
// Measures the training step of a config, every operator in it, and the most that the machine could
// do: `birkhoff bench`. Random tokens, one rank, nothing is written.
//
// The step is the real one: its calls are timed in place, with the data and the caches that they
// find there. It alternates with the step of the same model with plain residuals: machines drift,
// and what is compared should drift together.
#include <optional>
#include <string>

#include "base/machine.h"
#include "engine/config/config.h"
#include "engine/model/model.h"
#include "engine/train/operator_times.h"
#include "kernels/peak_rates.h"

namespace birkhoff {

struct BenchOptions {
  int64_t steps = 10;     // measured
  bool plain = true;      // alternate with the plain residual, if the config's is another
  bool scaling = false;   // also measure with 1, 2, 4, … threads up to all
  int64_t array_mib = 0;  // of each array that bandwidths are measured with; 0: 4 times L3
  static constexpr int64_t kWarmUp = 2;  // steps before the first measured one
};

// Measurements of one kind of step; all times in seconds.
struct StepTimes {
  std::vector<double> seconds;
  std::vector<Bandwidths> beside;  // measured just before each step
  std::vector<OperatorRow> operators;
  int64_t further_rounds = 0;
};

struct ScalingPoint {
  int threads = 1;
  std::vector<double> seconds;
};

struct MeasuredPeakRates {
  PeakRates one, all;  // with one thread, with all
};

struct BenchResult {
  Config config;
  BenchOptions options;
  Machine machine;
  int threads = 1;
  ParameterCount parameters;
  size_t array_bytes = 0;
  MeasuredPeakRates before, after;  // before and after the steps
  StepTimes step;
  std::optional<StepTimes> plain;
  std::string no_plain;  // why the plain step was not run
  std::vector<ScalingPoint> scaling;

  int64_t tokens() const { return config.train.global_batch * config.train.sequence; }
  // The better of before and after, with all threads.
  PeakRates limits() const { return better_of(before.all, after.all); }
};

// Throws ResourceError (exit code 5) when the model does not fit the memory, ConfigError (2) when
// the config cannot be trained.
BenchResult bench(const Config& config, const BenchOptions& options);

}  // namespace birkhoff
