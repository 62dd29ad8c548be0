#pragma once
// A model in memory that can take training steps, be evaluated and be saved: programs, plan,
// executor and optimizer in one, without data, files or terminal. Data-parallel: every rank has all
// parameters and takes a part of each step's micro-batches.
//
//   Session session(config, team, ranks);     // plans; throws ResourceError when memory is refused
//   session.initialise();                     // or load(…) through tensors()
//   StepResult r = session.step(t, batches);  // t ≥ 1: the rank's micro-batches, in order
//
// On one rank only the first step allocates; with several, the collectives allocate in every step.
//
// step() is collective: every rank calls it with the same t. Not thread-safe; the team is its
// parallelism.
#include <memory>

#include "engine/data/samples.h"
#include "engine/execute/executor.h"
#include "engine/parallel/group_sum.h"
#include "engine/train/programs.h"
#include "engine/train/stream_telemetry.h"
#include "engine/train/tensor_view.h"

namespace birkhoff {

struct StepResult {      // of the whole step: the same on every rank
  double loss = 0;       // mean nll over the step's valid tokens, in nats
  double grad_norm = 0;  // before clipping
  double lr = 0;
  int64_t valid = 0;  // tokens with a target
  // Tokens that each routed expert received in this step, by MoE layer.
  std::vector<std::vector<int64_t>> expert_load;
  StreamTelemetry streams;  // empty except in step 1 and every train.telemetry_every steps
};

class Session {
 public:
  // REQUIRES team and ranks outlive the session. Throws what reduction_groups_of throws.
  Session(const Config& config, ThreadTeam& team, Communicator& ranks,
          ExecutorOptions options = {});

  void initialise();
  // This rank's share of the step's micro-batches: a whole number of groups.
  Range own_micro_batches() const;
  // Throws NumericError when loss or gradient is not finite, on all ranks; the parameters are then
  // unchanged. The result is valid until the next step.
  const StepResult& step(int64_t t, std::span<const Batch> micro_batches);
  // −log p of each token under the current parameters, as in Scorer::score.
  std::span<const float> score(const Batch& batch);

  // Parameters under their canonical names, moments as adam_m.… and adam_v.…, balancing biases:
  // everything that a later step depends on, in order of name.
  std::vector<TensorView> tensors();

  Executor& executor() { return *executor_; }
  const Executor& executor() const { return *executor_; }

 private:
  Range micro_batches_of_group(int64_t group) const;
  void tell(int64_t step, Activity activity) const;
  bool wants_telemetry(int64_t step) const;

  const Config config_;
  Communicator& ranks_;
  Beacon* const beacon_;
  SessionPrograms programs_;
  std::unique_ptr<Executor> executor_;
  int64_t groups_;
  GroupSum sum_;
  std::vector<std::span<const int32_t>> loads_;      // of the experts, by MoE layer
  std::vector<std::span<const double>> statistics_;  // of the residual streams, by sublayer
  StepResult result_;
};

// The groups that a step's micro-batches are summed in: train.reduction_groups, or one group per
// rank if that is 1. Throws ConfigError (exit code 2) if that many ranks cannot share the step.
int64_t reduction_groups_of(const Config& config, int ranks);

// What a session sums over groups and ranks; if `executor` is null, the tensors have no data.
std::vector<GroupSum::Tensor> summed_tensors(const Program& train, const Plan& plan,
                                             const Executor* executor);

}  // namespace birkhoff
