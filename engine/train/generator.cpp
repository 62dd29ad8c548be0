#include "engine/train/generator.h"

#include <algorithm>

namespace birkhoff {
namespace {

constexpr int64_t kChunk = 32;  // prompt tokens per chunk
enum SchedulePartIndex : size_t { kChunkPart, kSinglePart };

}  // namespace

Generator::Generator(const Config& config, ThreadTeam& team, int64_t context)
    : config_(config),
      context_(context),
      chunk_(activations_of(config)),
      single_(activations_of(config)),
      chunk_io_(trace_decode(chunk_, config_, std::clamp<int64_t>(context, 1, kChunk), context)),
      single_io_(trace_decode(single_, config_, 1, context)),
      schedule_{forward_part("chunk", chunk_), forward_part("single", single_)},
      executor_(std::make_unique<Executor>(schedule_, team)) {}

std::vector<TensorView> Generator::tensors() { return model_views(chunk_, *executor_); }

std::span<const float> Generator::feed(std::span<const int32_t> tokens) {
  check(!tokens.empty(), "no tokens to feed");
  if (length_ + int64_t(tokens.size()) > context_)
    throw ConfigError(fmt::format("{} tokens do not fit a context of {}; use fewer",
                                  length_ + int64_t(tokens.size()), context_));
  for (const int32_t token : tokens)
    if (token < 0 || token >= config_.model.vocab)
      throw DataError(fmt::format("token {} is outside the model's vocabulary of {}", token,
                                  config_.model.vocab));
  std::span<const float> logits;
  const size_t whole = size_t(chunk_io_.token.shape()[0]);
  while (!tokens.empty()) {
    const bool chunk = tokens.size() >= whole;
    const size_t count = chunk ? whole : 1;
    logits =
        run(chunk ? kChunkPart : kSinglePart, chunk ? chunk_io_ : single_io_, tokens.first(count));
    tokens = tokens.subspan(count);
  }
  return logits;
}

std::span<const float> Generator::run(size_t part, const DecodeIo& io,
                                      std::span<const int32_t> tokens) {
  std::copy(tokens.begin(), tokens.end(), executor_->data<int32_t>(io.token).begin());
  const auto position = executor_->data<int32_t>(io.position);
  for (size_t t = 0; t < position.size(); ++t) position[t] = int32_t(length_ + int64_t(t));
  executor_->data<int32_t>(io.length)[0] = int32_t(length_);
  executor_->run(part);
  length_ += int64_t(tokens.size());
  return executor_->data<float>(io.logits).last(size_t(config_.model.vocab));
}

}  // namespace birkhoff
