#pragma once
// A model in memory that can take training steps, be evaluated and be saved: programs, plan,
// executor and optimizer in one, without data, files or terminal.
//
//   Session session(config, team);            // plans; throws ResourceError when memory is refused
//   session.initialise();                     // or load(…) through tensors()
//   StepResult r = session.step(t, batches);  // t ≥ 1: all micro-batches of the step, in order
//
// Not thread-safe; the team is its parallelism.
#include <memory>

#include "engine/data/samples.h"
#include "engine/execute/executor.h"
#include "engine/model/model.h"
#include "engine/optim/optimizer.h"
#include "engine/train/tensor_view.h"

namespace birkhoff {

struct StepResult {
  double loss = 0;       // mean nll over the step's valid tokens, in nats
  double grad_norm = 0;  // before clipping
  double lr = 0;
  // Tokens that each routed expert got in this step, by MoE layer.
  std::vector<std::vector<int64_t>> expert_load;
};

class Session {
 public:
  Session(const Config& config, ThreadTeam& team, ExecutorOptions options = {});

  void initialise();
  // Throws NumericError when loss or gradient is not finite; the parameters are then as before.
  StepResult step(int64_t t, std::span<const Batch> micro_batches);
  // −log p of each token by the parameters as they are, as Scorer::score.
  std::span<const float> score(const Batch& batch);

  // Parameters under their canonical names, moments as adam_m.… and adam_v.…, balancing biases: all
  // that a later step depends on, in order of name.
  std::vector<TensorView> tensors();

  const Program& program() const { return train_; }
  const ModelIo& io() const { return io_; }
  Executor& executor() { return *executor_; }
  const Executor& executor() const { return *executor_; }

 private:
  const Config config_;
  Program train_, score_;
  ModelIo io_, score_io_;
  OptimizerIo optimizer_;
  Schedule schedule_;
  std::unique_ptr<Executor> executor_;
  std::vector<SlotId> loads_;  // expert load of each MoE layer
};

// The schedule a session of this config runs, traced into the two programs: for `plan` too.
Schedule trace_session(const Config& config, Program& train, Program& score, ModelIo& io,
                       ModelIo& score_io, OptimizerIo& optimizer);

}  // namespace birkhoff
