#pragma once
// A trained model that scores: −log p of each token given those before it in its sequence. Forward
// only: it needs no gradients and no moments. Not thread-safe.
#include <memory>

#include "engine/data/samples.h"
#include "engine/execute/executor.h"
#include "engine/model/model.h"
#include "engine/train/tensor_view.h"

namespace birkhoff {

class Scorer {
 public:
  // For batches of `sequences` sequences of `sequence` tokens.
  Scorer(const Config& config, ThreadTeam& team, int64_t sequences, int64_t sequence);

  // Load these before score().
  std::vector<TensorView> tensors();
  // Nats, [sequences · sequence]; 0 where the target is −1. Valid until the next call.
  std::span<const float> score(const Batch& batch);

 private:
  const Config config_;
  Program program_;
  ModelIo io_;
  Schedule schedule_;
  std::unique_ptr<Executor> executor_;
};

// Copies a batch into a trace's inputs. Throws InternalError when sizes differ.
void fill_inputs(const Executor& executor, const ModelIo& io, const Batch& batch);

}  // namespace birkhoff
