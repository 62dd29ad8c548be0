#include "engine/train/scorer.h"

#include <algorithm>

namespace birkhoff {

Scorer::Scorer(const Config& config, ThreadTeam& team, int64_t sequences, int64_t sequence)
    : config_(config),
      program_(activations_of(config)),
      io_(trace_scoring(program_, config_, sequences, sequence)),
      schedule_{forward_part("score", program_)},
      executor_(std::make_unique<Executor>(schedule_, team)) {}

std::vector<TensorView> Scorer::tensors() { return model_views(program_, *executor_); }

std::span<const float> Scorer::score(const Batch& batch) {
  fill_inputs(*executor_, io_, batch);
  executor_->run(0);
  return executor_->data<float>(io_.nll);
}

void fill_inputs(const Executor& executor, const ModelIo& io, const Batch& batch) {
  const auto copy = [&](const std::vector<int32_t>& from, Value to) {
    const auto data = executor.data<int32_t>(to);
    check(from.size() == data.size(), "a batch of {} tokens for {}", from.size(), data.size());
    std::copy(from.begin(), from.end(), data.begin());
  };
  copy(batch.token, io.token);
  copy(batch.target, io.target);
  copy(batch.position, io.position);
  copy(batch.first_key, io.first_key);
}

}  // namespace birkhoff
